"""How the key of a request is found, where it depends on more than its line: a callable of the user's, a body, who has ask_user."""

from fastapi_caching_route._asgi import RequestBody
from fastapi_caching_route._bypass import Bypass
from fastapi_caching_route._key import KeyPair, Scope, names_a_person
from fastapi_caching_route._plan import Declared, Plan, ask_user


async def find_key(plan: Plan, declared: Declared, scope: Scope, body: RequestBody) -> KeyPair | Bypass:
    """The key of a request, or why it must bypass the cache."""
    skipped = False if plan.skip is None else await ask_user(plan.skip, scope)
    if skipped is not False:
        return Bypass('skip' if skipped else 'skip-callable')
    return declared.keys.at_once(scope) or await _built(plan, declared, scope, body)


async def _built(plan: Plan, declared: Declared, scope: Scope, request_body: RequestBody) -> KeyPair | Bypass:
    """The key of a request, where it depends on more than method, path and query."""
    inputs = declared.inputs
    if plan.key_builder is not None:
        built = await ask_user(plan.key_builder, scope)
        if not built or not isinstance(built, str):
            return Bypass('key-builder')
        return declared.keys.built(built)
    if inputs.raw and inputs.personal:
        reason = names_a_person(scope, inputs.covered)
        if reason is not None:
            return Bypass(reason)
    name = '' if plan.who is None else await ask_user(plan.who, scope)
    if not isinstance(name, str):
        return Bypass('identity')
    body: bytes | None = b''
    if inputs.keyed_body or inputs.raw:
        body = await request_body.whole(plan.terms.max_body_size)
    return Bypass('body') if body is None else declared.keys.of(scope, body, name)
