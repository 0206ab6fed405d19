"""Where the entry of a complete response belongs: under the key of its request, or of its variant."""

import math

from msgspec import structs

from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.variants import Brought, Variants, variant_key, varying_fields
from fastapi_caching_route._exchange.errand import Response
from fastapi_caching_route._http import reuse
from fastapi_caching_route._store.variants import Selecting, add_variant, with_variant
from fastapi_caching_route._store.visit import Visit


def is_for_others(entry: Entry, now: float) -> bool:
    """Whether an entry would answer requests from the store, so that followers may have it."""
    _, left = reuse.age_and_left(entry.stored_at, entry.lifetime, math.inf, now)
    return not entry.must_validate and left > 0


def ready_of(response: Response, entry: Entry) -> Brought | None:
    """What those may have who asked before the run began, whatever becomes of the entry in the store."""
    call = response.errand.call
    if not is_for_others(entry, call.plan.runtime.clock()):
        return None
    selecting = selecting_of(response, entry)
    if selecting is None:
        return Brought(entry, None)
    made = with_variant(call.key, selecting, response.errand.variants)
    if made is None:
        return None
    variants, variant = made
    return Brought(structs.replace(entry, key=variant_key(variants, variant)), variants)


async def placed(
    response: Response, selecting: Selecting, visit: Visit, *, span: float
) -> tuple[str, Variants | None] | None:
    """The key to store one of several responses under, and the record of them.

    None if other requests cannot be compared with this one in what was read to make it.
    """
    call, known = response.errand.call, response.errand.variants
    return await add_variant(visit, call.key, selecting, known=known, now=call.plan.runtime.clock(), span=span)


def selecting_of(response: Response, entry: Entry) -> Selecting | None:
    """What selects it among the responses under the key of its request; None if there is only this one."""
    call, known, read = response.errand.call, response.errand.variants, entry.read
    inputs, vary = call.declared.inputs, response.head.vary
    if inputs.declared and not (read or vary or known):
        return None
    varying = varying_fields(inputs, vary, known)
    if not (varying or read or known):
        return None
    headers, values_of = call.scope['headers'], response.snapshot.reads.values
    return Selecting(varying, read, headers, values_of, call.plan.terms.by_the_book)
