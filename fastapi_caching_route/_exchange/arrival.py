"""A request arrives at a cached route: a hit is sent at once, as most hits are, or an exchange begins.

Start reading here. Knows nothing of FastAPI.
"""

from collections.abc import Coroutine
from typing import Any

from msgspec import Struct

from fastapi_caching_route._core.asgi import WISHES, App, Receive, Scope, Send
from fastapi_caching_route._core.counts import Counts
from fastapi_caching_route._core.declared import ACCEPTED, Declared
from fastapi_caching_route._core.raw_request import RawRequest
from fastapi_caching_route._exchange.account import Account
from fastapi_caching_route._exchange.call import Call, Client, RequestBody, raw_of
from fastapi_caching_route._exchange.exchange import Exchange
from fastapi_caching_route._exchange.guarded import reply_behind_guards
from fastapi_caching_route._exchange.herd import Herd
from fastapi_caching_route._exchange.hit import Hit, at_once, count, tell_hit
from fastapi_caching_route._exchange.lookup import Looked, begins_with_the_body, look_up_key
from fastapi_caching_route._exchange.plan import Plan
from fastapi_caching_route._store.visit import Later


def respond(plan: Plan, scope: Scope, receive: Receive, send: Send, forward: App) -> Coroutine[Any, Any, None]:
    """Respond to one request to a cached route; `forward` runs the endpoint.

    Most hits are sent from here: nothing has to be waited for, there are no guards, and no observers.
    """
    if not isinstance(scope['headers'], list):  # ASGI allows any iterable, and we are not its only reader
        scope['headers'] = list(scope['headers'])
    declared, is_observed = plan.declared(), plan.runtime.observers.tell is not None
    account = Account(plan, scope['method'], send).start_timing() if is_observed else None
    result = at_once(plan, declared, scope)
    if isinstance(result, Hit) and account is None and declared.on_hit is None:
        return _send(result, send, plan.counts)
    arrival = Arrival(plan, declared, scope, receive, send, forward, account)
    if isinstance(result, Hit):
        return arrival.guard(result)
    # Only the body may be missing for the key, or the store may have to be waited for.
    may_be_found = declared.keys.is_by_body if result is None else isinstance(result.stored, Later)
    return arrival.look_up(result) if may_be_found else arrival.exchange(result)


async def _send(hit: Hit, send: Send, counts: Counts) -> None:
    """Count a hit, and send it."""
    count(counts, hit)
    await send(hit.start)
    await send(hit.body)


class Arrival(Struct, eq=False):
    """A request to which nothing could be sent at once."""

    _plan: Plan
    _declared: Declared
    _scope: Scope
    _receive: Receive
    _send: Send
    _forward: App
    _account: Account | None
    """None while nobody observes it, and no exchange has begun."""
    _body: RequestBody | None = None

    async def look_up(self, looked: Looked | None) -> None:
        """Look up what is stored, and respond."""
        plan, declared, scope = self._plan, self._declared, self._scope
        result: Hit | Looked | None = looked
        if looked is None and begins_with_the_body(plan, declared, scope):
            self._body = RequestBody(self._receive)
            result = at_once(plan, declared, scope, body=await self._body.whole(plan.terms.max_body_size))
        if isinstance(result, Looked) and isinstance(result.stored, Later) and plan.bypass_of(scope) is None:
            request = RawRequest(scope, declared.inputs.reading)
            result = at_once(plan, declared, scope, await look_up_key(plan, result.keys, request))
        await (self.guard(result) if isinstance(result, Hit) else self.exchange(result))

    async def guard(self, hit: Hit) -> None:
        """Send a hit if the guards accept the request."""
        guards, account = self._declared.on_hit, self._account
        if guards is not None:
            if account is not None:
                account.end_part('look_up')
            decision = await guards.decide(self._scope)
            if decision is not ACCEPTED:
                with account or Account(self._plan, self._scope['method'], self._send) as account:
                    await reply_behind_guards(self._call(account), hit, guards, decision)
                return
            if account is not None:
                account.end_part('guards')
        if account is not None:
            tell_hit(account, self._plan, hit)
        await _send(hit, self._send, self._plan.counts)

    async def exchange(self, looked: Looked | None) -> None:
        """Begin an exchange, with what is known of it by now."""
        if self._account is not None:
            self._account.end_part('look_up')
        with self._account or Account(self._plan, self._scope['method'], self._send) as account:
            call = self._call(account)
            await Exchange(call, Herd(call)).respond(looked)

    def _call(self, account: Account) -> Call:
        plan, declared, scope = self._plan, self._declared, self._scope
        scope.pop(WISHES, None)  # it may be the scope of an earlier request that somebody sends again
        client = Client(scope['method'], scope['headers'], account.send, account, plan.labels.cache_header, self._send)
        body = self._body or RequestBody(self._receive)
        return Call(plan, declared, scope, body, client, self._forward, raw=raw_of(declared, scope))
