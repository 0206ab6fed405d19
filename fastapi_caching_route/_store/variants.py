"""Variants: several responses under one key, see `_core/variants`. A record lists them."""

from collections.abc import Callable
from secrets import token_hex

from fastapi_caching_route._core.asgi import Parts
from fastapi_caching_route._core.inputs import Inputs
from fastapi_caching_route._core.read_names import EVERYTHING, HEADERS
from fastapi_caching_route._core.variants import (
    Group,
    Variants,
    adding,
    grouped,
    lasting,
    selecting_headers,
    variant_key,
    variant_of,
)
from fastapi_caching_route._http.conditional import OF_ONE_CLIENT
from fastapi_caching_route._http.fields import RawHeaders
from fastapi_caching_route._store.visit import Visit


def conditions_of(inputs: Inputs, variants: Variants | None) -> set[bytes]:
    """The preconditions and range headers that are in the key or select the variant: a renewal must send them, too."""
    selecting = selecting_headers(variants)
    if variants is not None and any(HEADERS in group or EVERYTHING in group for group in variants.groups):
        selecting |= OF_ONE_CLIENT - inputs.reading.left_out
    return {*inputs.conditions, *selecting}


async def add_variant(
    visit: Visit,
    key: str,
    varying: set[bytes],
    group: Group,
    *,
    known: Variants | None,
    headers: RawHeaders,
    values_of: Callable[[Group], Parts | None],
    normalised: bool,
    now: float,
    span: float,
) -> tuple[str, Variants] | None:
    """Add the variant of a response to the record under the key. Return the key of the variant, and the new record.

    `group` is what was read to make the response, which is kept for `span` seconds from `now`. None if the values of
    the group cannot be compared with those of other requests.

    If the responses vary with one more header, a new token gives all variants new keys. If two first responses arrive
    at the same time, the record that is stored last wins; the other variant is not found again, which costs a miss.
    """
    current = await visit.look_up(key)  # others may have changed it while the endpoint ran
    variants = current if isinstance(current, Variants) else known
    if variants is None or varying != set(variants.selecting):
        groups = () if variants is None else variants.groups
        variants = Variants(key, tuple(sorted(varying)), token_hex(8), groups=groups)
    variants, group = grouped(variants, group)
    variant = variant_of(variants, group, headers, values_of(group), normalised=normalised)
    if variant is None:
        return None
    variants, dropped = adding(variants, variant)
    for old in dropped:
        await visit.forget(old)
    variants, left = lasting(variants, now, span)
    await visit.put(variants, left)
    return variant_key(variants, variant), variants
