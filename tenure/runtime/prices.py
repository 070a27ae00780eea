"""What a model call costs, in integer micro-dollars: by the operator's price file, and for the rest by the table of genai-prices.

Rules of this file: a model without a price costs nothing less than an error. A price file is read once, whole, or refused.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from functools import cache
from importlib.metadata import version as of_package
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tenure.errors import ConfigError
from tenure.turn import Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider

SETTING = "TENURE_PRICES"
FIELDS = ("input", "output", "cache_read", "cache_write")
FINEST = 1_000_000  # a price is kept in millionths of a dollar for a million tokens
MOST = 1_000_000  # dollars for a million tokens: more is a slip of the pen


@dataclass(frozen=True)
class Price:
    """What a million tokens cost, in micro-dollars."""

    input: int
    output: int
    cache_read: int
    cache_write: int

    def of(self, usage: Usage) -> int:
        """Micro-dollars of `usage`, rounded up."""
        told = (
            usage.input * self.input
            + usage.output * self.output
            + usage.cache_read * self.cache_read
            + usage.cache_write * self.cache_write
        )
        return -(-told // FINEST)

    def at_most(self, prompt: int, answer: int) -> int:
        """Micro-dollars that no call of so many tokens exceeds, whatever of its prompt is read from the cache or written to it."""
        return -(-(prompt * max(self.input, self.cache_read, self.cache_write) + answer * self.output) // FINEST)


@cache
def table_version() -> str:
    """Of the price table."""
    return f"genai-prices {of_package('genai-prices')}"


@dataclass(frozen=True)
class Prices:
    """What each model costs: as `own` says, which an operator wrote, else as the price table says."""

    own: Mapping[str, Price] = field(default_factory=dict[str, Price])
    version: str = field(default_factory=table_version)

    @classmethod
    def load(cls, path: Path | None) -> Prices:
        """The prices of that file before those of the table. Raises ConfigError, naming file, model and field."""
        if path is None:
            return cls()
        try:
            text = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{SETTING}={str(path)!r}: {error.strerror}: name a file that can be read") from error
        digest = hashlib.sha256(text).hexdigest()[:8]
        return cls(_own(path, text), f"{table_version()} + file sha256:{digest}")

    def cost_of(self, model: str, usage: Usage) -> int:
        """Micro-dollars of `usage`, rounded up. Raises ConfigError for a model that has no price."""
        own = self.own.get(model)
        return own.of(usage) if own is not None else _by_table(model, usage)

    def at_most(self, model: str, prompt: int, answer: int) -> int:
        """Micro-dollars that no call of so many tokens exceeds. Raises ConfigError for a model that has no price."""
        own = self.own.get(model)
        # In the table nothing is dearer than what is written to the cache.
        return (
            own.at_most(prompt, answer)
            if own is not None
            else _by_table(model, Usage(cache_write=prompt, output=answer))
        )


def _by_table(model: str, usage: Usage) -> int:
    from genai_prices import Usage as Tokens

    tokens = Tokens(
        input_tokens=usage.input + usage.cache_read + usage.cache_write,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
        output_tokens=usage.output,
    )
    provider, priced = _find(model)
    price = priced.calc_price(tokens, provider, genai_request_timestamp=datetime.now(UTC)).total_price
    return int((price * 1_000_000).to_integral_value(ROUND_CEILING))


@cache
def _find(model: str) -> tuple[Provider, ModelInfo]:
    """The model in the table. Looking it up costs more than the rest of the sum."""
    from genai_prices.data_snapshot import get_snapshot

    try:
        return get_snapshot().find_provider_model(model, None, "anthropic", None)
    except LookupError as error:
        raise ConfigError(
            f"model {model!r} has no price in the price table: correct its name, upgrade genai-prices, or write its price"
            f" in a file that {SETTING} names"
        ) from error


def _own(path: Path, text: bytes) -> dict[str, Price]:
    where, parse = f"{SETTING}={str(path)!r}", PARSERS.get(path.suffix)
    if parse is None:
        raise ConfigError(f"{where}: must end in {' or '.join(PARSERS)}")
    try:
        told = parse(text.decode())
    except (ValueError, RecursionError) as error:  # of TOML, JSON and UTF-8 alike
        raise ConfigError(f"{where}: cannot be read as {path.suffix[1:].upper()}: {error}") from error
    if not isinstance(told, dict) or not told:
        raise ConfigError(
            f"{where}: must hold a table for each model, such as [claude-sonnet-5-5] with input and output"
        )
    models = cast("dict[str, Any]", told)  # keys of TOML and JSON are text; Any: not yet validated
    return {model: _price(f"{where}: {model}", given) for model, given in models.items()}


def _price(where: str, given: Any) -> Price:  # Any: not yet validated
    if not isinstance(given, dict):
        raise ConfigError(f"{where}={given!r:.80}: must be a table with input and output")
    told = cast("dict[str, Any]", given)
    for key in told:
        if key not in FIELDS:
            near = difflib.get_close_matches(key, FIELDS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(FIELDS)}"
            raise ConfigError(f"{where}.{key}={told[key]!r:.80}: there is no such price: {hint}")
    for key in ("input", "output"):
        if key not in told:
            raise ConfigError(f"{where}.{key}: missing: write what a million tokens cost, in dollars")
    kept = {key: _dollars(f"{where}.{key}", value) for key, value in told.items()}
    # What is not said is what no call can exceed: all is read anew, and a write costs a quarter more, as Claude's do.
    return Price(**{"cache_read": kept["input"], "cache_write": -(-kept["input"] * 5 // 4), **kept})


def _dollars(where: str, value: Any) -> int:  # Any: not yet validated
    """Dollars for a million tokens, in micro-dollars."""
    shown = str(value) if isinstance(value, Decimal) else repr(value)
    wanted = f"{where}={shown:.80}: must be dollars for a million tokens, such as 3 or '0.30'"
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise ConfigError(wanted)
    try:
        dollars = Decimal(value)
    except InvalidOperation:
        raise ConfigError(wanted) from None
    if not dollars.is_finite() or not 0 <= dollars <= MOST:
        raise ConfigError(f"{wanted}: finite, not negative, and at most {MOST:,}")
    if dollars * FINEST != int(dollars * FINEST):
        raise ConfigError(f"{wanted}: no finer than a millionth of a dollar")
    return int(dollars * FINEST)


def _from_json(text: str) -> Any:  # Any: not yet validated
    return json.loads(text, parse_float=Decimal, parse_constant=Decimal, object_pairs_hook=_once)


def _from_toml(text: str) -> Any:  # Any: not yet validated
    return tomllib.loads(text, parse_float=Decimal)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:  # Any: not yet validated
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is written twice")
    return made


PARSERS: dict[str, Callable[[str], Any]] = {".toml": _from_toml, ".json": _from_json}  # Any: not yet validated
