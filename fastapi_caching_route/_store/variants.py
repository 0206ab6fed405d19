"""Answers under one key that vary with further request fields (RFC 9111 §4.1): a record says which, and which are kept."""

from collections.abc import Collection
from secrets import token_hex

from fastapi_caching_route._core.asgi import Scope
from fastapi_caching_route._core.inputs import Inputs
from fastapi_caching_route._core.variants import ALL_FIELDS, Variants, adding, variant_key, variant_of
from fastapi_caching_route._http.conditional import OF_ONE_CLIENT
from fastapi_caching_route._http.storing import FOREVER
from fastapi_caching_route._store.visit import Visit


def conditions_of(inputs: Inputs, variants: Variants | None) -> set[bytes]:
    """The preconditions and ranges that are in the key of a request or select its variant: a renewal has to have them, too."""
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
    """Store with what the answers under the key vary; return the key of this request's variant, and the record of all.

    With a field more, all variants get new keys, by a new token. Where two first answers come at once, the record
    that is stored last counts, and the variant of the other one is not found again: a miss, not a mistake.
    """
    current = await visit.look_up(key)  # others may have added to it while the endpoint ran
    variants = current if isinstance(current, Variants) else known
    if variants is None or varying != set(variants.selecting):
        variants = Variants(key, tuple(sorted(varying)), token_hex(8))
    variant = variant_of(variants, scope, left_out, normalised=normalised)
    variants, dropped = adding(variants, variant)
    for old in dropped:
        await visit.forget(old)
    await visit.put(variants, FOREVER)  # as long as any variant may live
    return variant_key(variants, variant), variants
