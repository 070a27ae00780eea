"""What a model call costs, in integer micro-dollars, by the price table of genai-prices."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_CEILING
from functools import cache
from importlib.metadata import version as of_package
from typing import TYPE_CHECKING

from tenure.errors import ConfigError
from tenure.turn import Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider


def cost_of(model: str, usage: Usage) -> int:
    """Micro-dollars of `usage`, rounded up. Raises ConfigError for a model that has no price."""
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
def version() -> str:
    """Of the price table."""
    return f"genai-prices {of_package('genai-prices')}"


@cache
def _find(model: str) -> tuple[Provider, ModelInfo]:
    """The model in the table. Looking it up costs more than the rest of the sum."""
    from genai_prices.data_snapshot import get_snapshot

    try:
        return get_snapshot().find_provider_model(model, None, "anthropic", None)
    except LookupError as error:
        raise ConfigError(
            f"model {model!r} has no price in the price table: correct its name, or upgrade genai-prices"
        ) from error
