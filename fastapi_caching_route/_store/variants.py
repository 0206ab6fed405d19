"""Variants: several responses under one key, see `_core/variants`. A record lists them."""

from collections.abc import Callable
from secrets import token_hex

from msgspec import Struct

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


class Selecting(Struct, frozen=True):
    """What selects a response among others under its key."""

    varying: set[bytes]
    """Request headers."""
    group: Group
    """What was read to make the response."""
    headers: RawHeaders
    values_of: Callable[[Group], Parts | None]
    normalised: bool


def with_variant(key: str, selecting: Selecting, known: Variants | None) -> tuple[Variants, str] | None:
    """The record under the key as a response needs it, and the digest of its variant, which may not be in it yet.

    None if the values of its group cannot be compared with those of other requests. If the responses vary with one more
    header, a new token gives all variants new keys.
    """
    variants = known
    if variants is None or selecting.varying != set(variants.selecting):
        groups = () if variants is None else variants.groups
        variants = Variants(key, tuple(sorted(selecting.varying)), token_hex(8), groups=groups)
    variants, group = grouped(variants, selecting.group)
    values = selecting.values_of(group)
    variant = variant_of(variants, group, selecting.headers, values, normalised=selecting.normalised)
    return None if variant is None else (variants, variant)


async def add_variant(
    visit: Visit, key: str, selecting: Selecting, *, known: Variants | None, now: float, span: float
) -> tuple[str, Variants] | None:
    """Add the variant of a response to the record under the key. Return the key of the variant, and the new record.

    The response is kept for `span` seconds from `now`. None if it cannot be compared, see `with_variant`.

    If two first responses arrive at the same time, the record that is stored last wins; the other variant is not found
    again, which costs a miss.
    """
    current = await visit.look_up(key)  # others may have changed it while the endpoint ran
    made = with_variant(key, selecting, current if isinstance(current, Variants) else known)
    if made is None:
        return None
    variants, variant = made
    variants, dropped = adding(variants, variant)
    for old in dropped:
        await visit.forget(old)
    variants, left = lasting(variants, now, span)
    await visit.put(variants, left)
    return variant_key(variants, variant), variants
