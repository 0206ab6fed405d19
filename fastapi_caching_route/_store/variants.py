"""Variants: responses under one key that vary with more request headers (RFC 9111 §4.1). A record lists them."""

from collections.abc import Collection
from secrets import token_hex

from fastapi_caching_route._core.asgi import Scope
from fastapi_caching_route._core.inputs import Inputs
from fastapi_caching_route._core.variants import ALL_FIELDS, Variants, adding, variant_key, variant_of
from fastapi_caching_route._http.conditional import OF_ONE_CLIENT
from fastapi_caching_route._http.freshness import FOREVER
from fastapi_caching_route._store.visit import Visit


def conditions_of(inputs: Inputs, variants: Variants | None) -> set[bytes]:
    """The preconditions and range headers that are in the key or select the variant: a renewal must send them, too."""
    selecting = set(variants.selecting) if variants else set()
    if ALL_FIELDS in selecting:
        selecting |= OF_ONE_CLIENT - inputs.left_out
    return {*inputs.conditions, *selecting}


async def add_variant(
    visit: Visit,
    key: str,
    varying: set[bytes],
    *,
    known: Variants | None,
    scope: Scope,
    left_out: Collection[bytes],
    normalised: bool,
) -> tuple[str, Variants]:
    """Add this request's variant to the record under the key. Return the key of the variant, and the new record.

    If the responses vary with one more header, a new token gives all variants new keys. If two first responses arrive
    at the same time, the record that is stored last wins; the other variant is not found again, which costs a miss.
    """
    current = await visit.look_up(key)  # others may have changed it while the endpoint ran
    variants = current if isinstance(current, Variants) else known
    if variants is None or varying != set(variants.selecting):
        variants = Variants(key, tuple(sorted(varying)), token_hex(8))
    variant = variant_of(variants, scope, left_out, normalised=normalised)
    variants, dropped = adding(variants, variant)
    for old in dropped:
        await visit.forget(old)
    await visit.put(variants, FOREVER)  # as long as any variant can live
    return variant_key(variants, variant), variants
