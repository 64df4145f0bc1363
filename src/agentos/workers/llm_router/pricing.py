"""What a completion costs, in whole nano-USD (billionths of a dollar), so that sums stay exact."""

from __future__ import annotations

from agentos.workers.llm_router.catalogue import Catalogue, Model
from agentos.workers.llm_router.conversation import Reply

_DATED = {
    "claude-opus-4-20250514": "claude-opus-4-6",
    "claude-sonnet-4-20250514": "claude-sonnet-4-6",
    "claude-haiku-4-5-20251001": "claude-haiku-4-5",
}


def priced_row(catalogue: Catalogue, provider_id: str, model: str) -> Model | None:
    """The catalogue row whose prices a model has, or none."""
    provider = catalogue.provider(provider_id)
    if provider is None:
        return None
    return catalogue.find_within(provider, _DATED.get(model, model))


def cost_nanos(row: Model, reply: Reply) -> int:
    """Uncached input, output and cache traffic at the prices of the row."""
    usage = reply.usage
    dollars_per_million = (
        reply.uncached_input * row.input_price
        + usage.output * row.output_price
        + usage.cache_read * row.cache_read_price
        + usage.cache_write * row.cache_write_price
    )
    return round(dollars_per_million * 1000)


def known_elsewhere(provider_id: str, model: str, reply: Reply) -> int | None:
    """Nano-USD by the price list of `genai-prices`, for models without a row; none if unknown."""
    try:
        from genai_prices import Usage, calc_price
    except ImportError:
        return None
    usage = reply.usage
    try:
        price = calc_price(
            Usage(
                input_tokens=reply.uncached_input + usage.cache_read + usage.cache_write,
                output_tokens=usage.output,
                cache_read_tokens=usage.cache_read,
                cache_write_tokens=usage.cache_write,
            ),
            model,
            provider_id=provider_id,
        )
    except LookupError:
        return None
    return round(float(price.total_price) * 1_000_000_000)
