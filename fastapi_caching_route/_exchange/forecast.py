"""A forecast for a request that nobody has sent: its key, the entry for it, and whether that would be sent.

Runs no code of the user's: neither the endpoint, nor guards, nor a `key_builder`, `identity` or `skip`. Stores nothing.
"""

from typing import Literal

from msgspec import Struct

from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.asgi import Scope
from fastapi_caching_route._core.declared import Declared
from fastapi_caching_route._core.inputs import names_a_person
from fastapi_caching_route._core.raw_request import RawRequest
from fastapi_caching_route._core.read_names import fields_of, unsaid
from fastapi_caching_route._core.variants import Variants, stored_variant, variant_key
from fastapi_caching_route._exchange.lookup import judge
from fastapi_caching_route._exchange.plan import Plan
from fastapi_caching_route._http import reuse
from fastapi_caching_route._http.reuse import NO_DEMAND, Demand, Use
from fastapi_caching_route._store.visit import Found

Fate = Literal['hit', 'stale', 'miss', 'bypass', 'unknown']
"""`unknown`: only code of the user's can make the key, and it is not run."""

REST_OF_A_REQUEST = 'what middleware, the session and the connection add to a request'


class Forecast(Struct, frozen=True):
    """The outcome that one request would have, if the guards accepted it."""

    fate: Fate
    reason: str | None = None
    """Why it bypasses the cache, or why what is stored cannot answer."""
    key: str | None = None
    """The full key, or that of the variant."""
    found: Found | None = None
    """The entry for it, fresh or not."""
    is_renewed: bool = False
    """Whether the entry answers, and is renewed after that."""
    is_under_way: bool = False
    """Whether the endpoint is running for another request with this key, so that this one would wait for it."""
    provided: tuple[str, ...] = ()
    """On what it depends that is not known here."""


async def forecast(plan: Plan, declared: Declared, scope: Scope, body: bytes) -> Forecast:
    """The outcome that this request would have now."""
    bypass = plan.bypass_of(scope)
    if bypass is not None:
        return Forecast('bypass', bypass.in_words)
    if not plan.stores:
        return Forecast('bypass', reasons.STORE.name)
    provided = tuple(_unknown(plan, declared))
    for name in ('key_builder', 'identity'):
        if getattr(plan.hooks, name) is not None:
            return Forecast('unknown', name, provided=provided)
    inputs = declared.inputs
    reason = names_a_person(scope, inputs.known) if inputs.raw and inputs.bypass_if_personal else None
    if reason is not None:
        is_refused = _demand(plan, scope).only_if_cached
        return Forecast('miss', reasons.ONLY_IF_CACHED.name) if is_refused else Forecast('bypass', reason)
    keys = declared.keys.at_once(scope, body) or declared.keys.of(scope, body)
    request = RawRequest(scope, inputs.reading, body)
    return await _looked_up(plan, request, keys[1], provided)


def _unknown(plan: Plan, declared: Declared) -> list[str]:
    """The names of what decides, too, and only a real request has."""
    found = [] if plan.hooks.skip is None else ['skip']
    takes = declared.inputs.raw or declared.inputs.reading.takes_request
    read = unsaid(plan.learned)
    personal = [it for it in read if not fields_of([it])]
    return [*found, *([REST_OF_A_REQUEST] if takes and (personal or not plan.learned) else [])]


def _demand(plan: Plan, scope: Scope) -> Demand:
    return reuse.demand(scope['headers']) if plan.heeds_demands else NO_DEMAND


async def _looked_up(plan: Plan, request: RawRequest, key: str, provided: tuple[str, ...]) -> Forecast:
    visit, demand = plan.runtime.store.visit(), _demand(plan, request.scope)
    is_under_way = plan.runtime.flights.under_way(key, plan.run_options.collapse_timeout) is not None

    def missed(why: str, found: Found | None = None) -> Forecast:
        reason = reasons.ONLY_IF_CACHED.name if demand.only_if_cached else why
        return Forecast('miss', reason, key, found, is_under_way=is_under_way, provided=provided)

    found = await visit.look_up(key)
    if isinstance(found, Variants):
        variant = stored_variant(found, request, normalised=plan.terms.by_the_book)
        if variant is None:
            return missed('vary-miss')
        key = variant_key(found, variant)
        found = await visit.look_up(key)
    if not isinstance(found, Found):
        return missed('uri-miss')
    use, _, left = judge(found, plan.runtime.clock(), demand, plan.run_options)
    if use is Use.VALIDATE:
        return missed('stale' if left <= 0 or found.entry.must_validate else 'request', found)
    is_renewed = use in {Use.RENEW, Use.REFRESH}
    return Forecast('hit' if left > 0 else 'stale', None, key, found, is_renewed=is_renewed, provided=provided)
