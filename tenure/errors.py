"""Every error Tenure raises on purpose, split first by whose fault it is.

TenureError
├── CallerError            the code, the configuration or the command that reached us is wrong: correct it, call again
│   ├── ConfigError        an agent, a tool or a setting
│   ├── HookFailed         a hook of an agent raised, hung, or returned what it may not
│   ├── BadInput           a message, an argument, a state value
│   └── NotFound           nothing of that name
├── Refused                policy said no
│   ├── NotServed          no worker serves the agent, or not under this fingerprint
│   ├── AnswerRefused      an answer to a request was not acceptable
│   └── StoreMismatch      the store belongs to another installation or to a newer Tenure
├── Unavailable            the world is away: try again later
│   ├── TemporalUnavailable
│   ├── StoreUnavailable
│   └── ClaudeUnavailable
├── RunFailed              a run ended without an answer; `.response` tells how
└── ToolError              raised by a tool: nothing happened, and this is why
    └── Cancelled          raised inside a tool whose run was cancelled
"""

from __future__ import annotations


class TenureError(Exception):
    """The root: catch this to catch everything Tenure raises on purpose."""


class CallerError(TenureError):
    """What reached us is wrong; the message names the value, the rule and the fix."""


class ConfigError(CallerError):
    """An agent, a tool or a setting cannot work as written."""


class HookFailed(CallerError):
    """A hook of an agent raised, took too long, or returned what it may not: the run ends and says which."""


class BadInput(CallerError):
    """A message, an argument or a state value is not of the form it must have."""


class NotFound(CallerError):
    """Nothing of that name exists."""


class Refused(TenureError):
    """Policy said no."""


class NotServed(Refused):
    """No worker serves the agent, or none under the caller's fingerprint."""


class AnswerRefused(Refused):
    """An answer to a request was unsigned, forged, late, doubled or meant for something else."""


class StoreMismatch(Refused):
    """The store belongs to another installation, or a newer Tenure wrote it."""


class Unavailable(TenureError):
    """Something Tenure stands on does not answer; the same call may succeed later."""


class TemporalUnavailable(Unavailable):
    """No Temporal server answers at the configured address."""


class StoreUnavailable(Unavailable):
    """The store cannot be opened, read or written."""


class ClaudeUnavailable(Unavailable):
    """Claude did not answer, or no way to reach it is configured."""


class RunFailed(TenureError):
    """A run ended without an answer. `stop_reason` and the message say why."""


class ToolError(TenureError):
    """Raise it in a tool to say: nothing happened, and this is why. Claude reads the message."""


class Cancelled(ToolError):
    """Raised by `ctx.heartbeat()` in a tool whose run was cancelled or whose attempt was given up."""
