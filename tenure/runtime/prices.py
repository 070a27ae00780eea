"""What a model call costs, in integer micro-dollars, by the price table of genai-prices."""

from __future__ import annotations

from decimal import ROUND_CEILING

from tenure.errors import ConfigError
from tenure.run import Usage


def cost_of(model: str, usage: Usage) -> int:
    """Micro-dollars of `usage`, rounded up. Raises ConfigError for a model that has no price."""
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    tokens = Tokens(
        input_tokens=usage.input + usage.cache_read + usage.cache_write,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
        output_tokens=usage.output,
    )
    try:
        price = calc_price(tokens, model_ref=model, provider_id="anthropic").total_price
    except LookupError as error:
        raise ConfigError(
            f"model {model!r} has no price in the price table: correct its name, or upgrade genai-prices"
        ) from error
    return int((price * 1_000_000).to_integral_value(ROUND_CEILING))
