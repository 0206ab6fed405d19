"""The key of a request where user code takes part in it, or the reason why the request bypasses the cache.

Does not know what is stored under it.
"""

from uuid import UUID

from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.asgi import REQUEST_BODY, Message, Scope
from fastapi_caching_route._core.declared import Declared
from fastapi_caching_route._core.inputs import names_a_person
from fastapi_caching_route._core.key import KeyPair, Keys
from fastapi_caching_route._core.plain import NotPlainError, plain
from fastapi_caching_route._core.reasons import Bypass
from fastapi_caching_route._exchange.call import Call, RequestBody
from fastapi_caching_route._exchange.plan import Plan
from fastapi_caching_route._exchange.user_code import call_hook


async def find_key(call: Call) -> KeyPair | Bypass:
    """The key of a request, or why it must bypass the cache."""
    plan, scope = call.plan, call.scope
    skipped = False if plan.hooks.skip is None else await call_hook(plan.hooks.skip, scope)
    if skipped is not False:
        return Bypass(reasons.SKIP.name if skipped else reasons.SKIP_CALLABLE.name)
    return call.declared.keys.at_once(scope) or await _built(plan, call.declared, scope, call.body)


async def default_key_of(plan: Plan, scope: Scope) -> str | Bypass:
    """The key of a request by a plan without a key builder, for the key builder of the same route.

    If the key contains the body, that is there only while the key is being built.
    """
    declared = plan.declared()
    found = declared.keys.at_once(scope) or await _built(plan, declared, scope, scope.get(REQUEST_BODY) or _NO_BODY)
    return found if isinstance(found, Bypass) else found[0]


async def _ended() -> Message:
    return {'type': 'http.disconnect'}


_NO_BODY = RequestBody(_ended)


async def _built(plan: Plan, declared: Declared, scope: Scope, request_body: RequestBody) -> KeyPair | Bypass:
    """The key of a request, where it depends on more than method, path and query."""
    inputs, keys = declared.inputs, declared.keys
    if plan.hooks.key_builder is not None:
        scope[REQUEST_BODY] = request_body
        built = await call_hook(plan.hooks.key_builder, scope)
        scope.pop(REQUEST_BODY, None)
        return await _by_builder(plan, keys, scope, request_body, built)
    reason = names_a_person(scope, inputs.known) if inputs.raw and inputs.bypass_if_personal else None
    if reason is not None:
        return Bypass(reason)
    said = await _said_by_user(plan, scope)
    if isinstance(said, Bypass):
        return said
    body: bytes | None = b''
    if inputs.body_in_key or inputs.raw:
        body = await request_body.whole(plan.terms.max_body_size)
    return Bypass(reasons.BODY.name) if body is None else keys.at_once(scope, body) or keys.of(scope, body, *said)


async def _by_builder(plan: Plan, keys: Keys, scope: Scope, body: RequestBody, built: object) -> KeyPair | Bypass:
    """The key of a request for which a key builder returned `built`."""
    if not built or not isinstance(built, str):
        return Bypass(reasons.KEY_BUILDER.name)
    if scope['method'] != 'QUERY' or not plan.terms.by_the_book:
        return keys.built(built)
    content = await body.whole(plan.terms.max_body_size)
    return Bypass(reasons.BODY.name) if content is None else keys.built(built, scope, content)


async def _said_by_user(plan: Plan, scope: Scope) -> tuple[str, object] | Bypass:
    """The results of the callables for `identity` and `key`, as parts of the key."""
    identity, key = plan.hooks.identity, plan.hooks.key
    name = '' if identity is None else _as_name(await call_hook(identity, scope))
    if name is None:
        return Bypass(reasons.IDENTITY.name)
    extension = None if key is None else _as_part(await call_hook(key, scope))
    if key is not None and extension is None:  # often, a `return` is missing: all requests would share
        return Bypass(reasons.KEY.name)
    return name, extension


def _as_name(said: object) -> str | None:
    """The name of clients that share, as a str; None if this is none. An id may be a number or a UUID."""
    is_id = isinstance(said, int | UUID) and not isinstance(said, bool)
    return said if isinstance(said, str) else str(said) if is_id else None


def _as_part(said: object) -> object:
    """The result of `key`, as a part of a key; None if it is None, or contains something that is no plain value."""
    try:
        return None if said is None else plain(said)
    except NotPlainError:
        return None
