"""How the entry for a request is found, and whether it answers at once."""

from fastapi_caching_route._core.asgi import Message, Scope
from fastapi_caching_route._core.declared import Declared
from fastapi_caching_route._core.inputs import names_a_person
from fastapi_caching_route._core.key import KeyPair
from fastapi_caching_route._core.reasons import Bypass
from fastapi_caching_route._core.variants import Variants
from fastapi_caching_route._exchange.call import RequestBody, messages
from fastapi_caching_route._exchange.plan import Plan, ask_user
from fastapi_caching_route._http import reuse
from fastapi_caching_route._store.visit import Found


async def find_key(plan: Plan, declared: Declared, scope: Scope, body: RequestBody) -> KeyPair | Bypass:
    """The key of a request, or why it must bypass the cache."""
    skipped = False if plan.hooks.skip is None else await ask_user(plan.hooks.skip, scope)
    if skipped is not False:
        return Bypass('skip' if skipped else 'skip-callable')
    return declared.keys.at_once(scope) or await _built(plan, declared, scope, body)


async def _built(plan: Plan, declared: Declared, scope: Scope, request_body: RequestBody) -> KeyPair | Bypass:
    """The key of a request, where it depends on more than method, path and query."""
    inputs = declared.inputs
    if plan.hooks.key_builder is not None:
        built = await ask_user(plan.hooks.key_builder, scope)
        if not built or not isinstance(built, str):
            return Bypass('key-builder')
        return declared.keys.built(built)
    if inputs.raw and inputs.personal:
        reason = names_a_person(scope, inputs.covered)
        if reason is not None:
            return Bypass(reason)
    name = '' if plan.hooks.identity is None else await ask_user(plan.hooks.identity, scope)
    if not isinstance(name, str):
        return Bypass('identity')
    body: bytes | None = b''
    if inputs.keyed_body or inputs.raw:
        body = await request_body.whole(plan.terms.max_body_size)
    return Bypass('body') if body is None else declared.keys.of(scope, body, name)


Looked = tuple[KeyPair, Found | Variants | None]
"""The key of a request, and what is stored under it."""


def look(plan: Plan, declared: Declared, scope: Scope) -> Looked | None:
    """What is stored for a request; None if somebody has to be asked for that, or waited for."""
    look_up = plan.runtime.store.at_once
    if (
        look_up is None
        or declared.before_key is not None
        or plan.hooks.skip is not None
        or not plan.serves(scope['method'])
    ):
        return None
    keys = declared.keys.at_once(scope)
    return None if keys is None else (keys, look_up(keys[1]))


def hit(plan: Plan, declared: Declared, scope: Scope, looked: Looked) -> tuple[Message, Message] | None:
    """The answer from what is stored; None if it is not as easy as that."""
    found = looked[1]
    if type(found) is not Found or declared.on_hit is not None or plan.heeds_demands:
        return None
    entry, now = found.entry, plan.runtime.clock()
    # What `Found.age_and_left` and `Herds.is_due` do, written out: two calls less on each hit.
    age, left = reuse.age_and_left(entry.stored_at, entry.lifetime, found.stale_at, now)
    if not reuse.is_free(left, validated_always=entry.validated_always):
        return None
    if plan.herds.eager_refresh is not None and plan.herds.is_due(entry, age):
        return None
    signs = plan.labels.on_hit(age, left, entry.headers, declared.inputs)
    return messages(scope['method'], scope['headers'], entry, signs, now)
