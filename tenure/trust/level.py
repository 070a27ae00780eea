"""Levels of trust: integers 0 to 10 inside, decimals 0 to 1 in steps of 0.1 at the edges.

Rules of this file: pure. A level that is not on the grid is refused where it is written, and never rounded.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from tenure.errors import ConfigError

MOST = 10


def read(where: str, value: object) -> int:
    """The level that `value` writes (0.3, "0.3" → 3). Raises ConfigError naming the nearest level."""
    try:
        if isinstance(value, bool):
            raise InvalidOperation
        exact = Decimal(str(value)) * MOST
    except InvalidOperation:
        raise ConfigError(f"{where}: {value!r} is no level: write 0 to 1 in steps of 0.1") from None
    if not exact.is_finite() or not 0 <= exact <= MOST:
        raise ConfigError(f"{where}: level {value!r} is outside 0 to 1")
    if exact != exact.to_integral_value():
        near = shown(round(exact))
        raise ConfigError(f"{where}: level {value!r} is not one of 0, 0.1, ... 1: the nearest is {near}")
    return int(exact)


def shown(level: int) -> str:
    """The level as people write it."""
    return str(Decimal(level) / MOST)
