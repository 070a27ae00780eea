"""Money: integers of micro-dollars inside, dollars at the edges."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

from tenure.errors import ConfigError

Dollars: TypeAlias = float | str | Decimal
MICRO = 1_000_000  # micro-dollars in a dollar
CENT = 10_000  # micro-dollars
MOST = 10**15  # micro-dollars, a billion dollars: more is a slip of the pen


def read(where: str, value: Any) -> int:  # Any: not yet validated
    """Dollars (a number, or text such as "0.05") as micro-dollars. Raises ConfigError, naming `where`.

    What is finer than a micro-dollar, negative, zero or not finite is refused.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ConfigError(f"{where}={value!r:.80}: must be dollars, such as 50.0 or '0.05'")
    try:
        micro = Decimal(str(value)) * MICRO
    except InvalidOperation:
        raise ConfigError(f"{where}={value!r:.80}: must be dollars, such as 50.0 or '0.05'") from None
    if not micro.is_finite() or not 0 < micro <= MOST:
        told = (
            "leave it out for no limit, or `tenure halt` the agent" if micro == 0 else "between 0 and a billion dollars"
        )
        raise ConfigError(f"{where}={value!r:.80}: must be more than nothing and finite: {told}")
    if micro != int(micro):
        raise ConfigError(f"{where}={value!r:.80}: finer than a micro-dollar: round it")
    return int(micro)


def amount(text: str) -> int:
    """Micro-dollars, of what `shown` has written. Raises ConfigError."""
    return read("amount", text.removeprefix("$"))


def cents_up(micro: int) -> int:
    """The next whole cent."""
    return -(-micro // CENT) * CENT


def shown(micro: int) -> str:
    """Micro-dollars as dollars: cents where that is exact, else as many digits as it takes."""
    dollars = Decimal(micro) / MICRO
    text = f"{dollars:.2f}" if dollars == round(dollars, 2) else f"{dollars.normalize():f}"
    return f"${text}" if micro >= 0 else f"-${text[1:]}"
