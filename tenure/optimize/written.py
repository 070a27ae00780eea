"""Written: what somebody wrote as settings has names that exist, or is told the one that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.alias_generators import to_camel

from tenure.errors import ConfigError


def check_known(
    what: str, told: Mapping[str, Any], known: Iterable[str], elsewhere: Mapping[str, str] | None = None
) -> None:  # Any: not yet validated
    """Raise ConfigError for a setting that `what` does not have; `elsewhere` says to whom some belong."""
    names = list(known)
    written = {one for name in names for one in (name, to_camel(name))}
    for key in told:
        if key not in written:
            place = (elsewhere or {}).get(key)
            raise ConfigError(
                f"{what} has no setting {key!r}{f': it belongs to {place}' if place else near(key, names)}"
            )


def near(name: str, known: Iterable[str]) -> str:
    """The one that was probably meant, to be put behind what is wrong; empty where none is like it."""
    found = difflib.get_close_matches(name, [*known], 1)
    return f": did you mean {found[0]!r}?" if found else ""
