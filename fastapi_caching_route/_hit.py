"""A hit that needs nobody: a fresh entry in a table of this process, for a request that no guard has to let in.

It is what `_exchange` does with such a request, in one go: the same key, look-up, judgement and answer. Whatever else there
is to do is left to that, with what has been found so far.
"""

from fastapi_caching_route._client import messages
from fastapi_caching_route._entry import Variants
from fastapi_caching_route._http import reuse
from fastapi_caching_route._key import KeyPair, Scope
from fastapi_caching_route._plan import Declared, Plan
from fastapi_caching_route._recorder import Message
from fastapi_caching_route._visit import Found

Looked = tuple[KeyPair, Found | Variants | None]
"""The key of a request, and what is stored under it."""


def look(plan: Plan, declared: Declared, scope: Scope) -> Looked | None:
    """What is stored for a request; None if somebody has to be asked for that, or waited for."""
    inside = plan.store.inside
    if inside is None or declared.before_key is not None or plan.skip is not None or not plan.serves(scope['method']):
        return None
    keys = declared.keys.at_once(scope)
    return None if keys is None else (keys, inside.at_once(keys[1]))


def hit(plan: Plan, declared: Declared, scope: Scope, looked: Looked) -> tuple[Message, Message] | None:
    """The answer from what is stored; None if it is not as easy as that."""
    found = looked[1]
    if type(found) is not Found or declared.on_hit is not None or plan.heeds_demands:
        return None
    entry, now = found.entry, plan.clock()
    # What `Found.age_and_left` and `Herds.is_due` do, written out: two calls less on each hit.
    age, left = reuse.age_and_left(entry.stored_at, entry.lifetime, found.stale_at, now)
    if not reuse.is_free(left, validated_always=entry.validated_always):
        return None
    if plan.herds.eager_refresh is not None and plan.herds.is_due(entry, age):
        return None
    signs = plan.signs_of_a_hit(age, left, entry.headers, declared.inputs)
    return messages(scope['method'], scope['headers'], entry, signs, now)
