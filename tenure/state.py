"""The run's state, as one tool call sees it, and what the call changes in it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, MutableMapping

from tenure.errors import BadInput
from tenure.transcript import clean
from tenure.wire import STATE_LIMIT, Json, JsonObject


class State(MutableMapping[str, Json]):
    """What earlier calls left. What is set, or changed in place, is this call's delta."""

    def __init__(self, before: JsonObject) -> None:
        self._before = before
        self._now: JsonObject = {}  # what was set, and copies of what was handed out

    def __getitem__(self, key: str) -> Json:
        if key not in self._now:
            self._now[key] = copy.deepcopy(self._before[key])  # a tool may change it in place
        return self._now[key]

    def __setitem__(self, key: str, value: Json) -> None:
        self._now[key] = value

    def __delitem__(self, key: str) -> None:
        raise BadInput(f"state[{key!r}] cannot be deleted: set it to None, so that the change is recorded")

    def __iter__(self) -> Iterator[str]:
        return iter({**self._before, **self._now})

    def __len__(self) -> int:
        return len({**self._before, **self._now})

    def delta(self, tool: str) -> JsonObject:
        """The variables that are not what they were, as JSON. Raises BadInput naming `tool`, also above 64 KB for all of them."""
        try:
            now: JsonObject = {key: clean(value) for key, value in self._now.items()}
        except (TypeError, ValueError, RecursionError) as error:
            raise BadInput(f"{tool} left a state that is not JSON: {error}") from error
        # Compared as text: in Python 1 == True.
        changed = {
            key: now[key] for key in now if key not in self._before or _text(now[key]) != _text(self._before[key])
        }
        size = len(_text({**self._before, **changed})) if changed else 0
        if size > STATE_LIMIT:
            limit = f"at most {STATE_LIMIT:,}; keep large values outside"
            raise BadInput(f"{tool} grows the run's state to {size:,} bytes: {limit}")
        return changed


def _text(value: Json) -> str:
    return json.dumps(value, sort_keys=True)
