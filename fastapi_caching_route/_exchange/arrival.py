"""A request arrives at a cached route: it is answered at once, as most hits are, or an exchange begins.

Start reading here. Knows nothing of FastAPI.
"""

from collections.abc import Coroutine
from typing import Any

from fastapi_caching_route._core.asgi import WISHES, App, Receive, Scope, Send
from fastapi_caching_route._core.counts import Counts
from fastapi_caching_route._core.declared import ACCEPTED, Declared, LetIn
from fastapi_caching_route._core.raw_request import RawRequest
from fastapi_caching_route._exchange.account import Account, count, passed
from fastapi_caching_route._exchange.call import Call, Client, RequestBody, raw_of
from fastapi_caching_route._exchange.exchange import Exchange
from fastapi_caching_route._exchange.guarded import reply_behind_guards
from fastapi_caching_route._exchange.herd import Herd
from fastapi_caching_route._exchange.lookup import Answer, Looked, at_once, begins_with_the_body, look_up_key
from fastapi_caching_route._exchange.plan import Plan
from fastapi_caching_route._store.visit import Later


def respond(plan: Plan, scope: Scope, receive: Receive, send: Send, forward: App) -> Coroutine[Any, Any, None]:
    """Answer one request to a cached route; `forward` lets the endpoint answer.

    Most hits are answered here: nothing has to be waited for, no guard is asked, and no observer told.
    """
    if not isinstance(scope['headers'], list):  # ASGI allows any iterable, and we are not its only reader
        scope['headers'] = list(scope['headers'])
    declared, looked = plan.declared(), None
    if declared.on_hit is None and plan.runtime.observers.tell is None:
        looked, answer = at_once(plan, declared, scope)
        if answer is not None:
            return _send(answer, send, plan.counts)
    return _respond(plan, scope, receive, send, forward, declared=declared, looked=looked)


async def _send(answer: Answer, send: Send, counts: Counts) -> None:
    """Count a response, and send it."""
    count(counts, answer)
    await send(answer[0])
    await send(answer[1])


async def _respond(
    plan: Plan, scope: Scope, receive: Receive, send: Send, forward: App, *, declared: Declared, looked: Looked | None
) -> None:
    """Answer one request for which something has to be waited for, asked or told."""
    account = None if plan.runtime.observers.tell is None else Account(plan, scope['method'], send).observed()
    body = whole = answer = None
    if looked is None and declared.keys.is_by_body and begins_with_the_body(plan, declared, scope):
        body = RequestBody(receive)
        whole = await body.whole(plan.terms.max_body_size)
    if looked is None:
        looked, answer = at_once(plan, declared, scope, body=whole)
    if answer is None and looked is not None and isinstance(looked[1], Later) and plan.passes_by(scope) is None:
        request = RawRequest(scope, declared.inputs.reading)
        looked, answer = at_once(plan, declared, scope, await look_up_key(plan, looked[0], request))
    if answer is None or declared.on_hit is not None:
        passed(account, 'look_up')
    let_in = ACCEPTED if answer is None or declared.on_hit is None else await declared.on_hit.lets_in(scope)
    if answer is not None and looked is not None and let_in is True:
        if declared.on_hit is not None:
            passed(account, 'guards')
        if account is not None:
            account.was_hit(looked[0][0], answer)
        await _send(answer, send, plan.counts)
        return
    scope.pop(WISHES, None)  # it may be the scope of an earlier request that somebody sends again
    with account or Account(plan, scope['method'], send) as account:
        client = Client(scope['method'], scope['headers'], account.send, account, plan.labels.cache_header, send)
        call = Call(plan, declared, scope, body or RequestBody(receive), client, forward, raw=raw_of(declared, scope))
        await _respond_in_steps(call, looked, answer, let_in)


def _respond_in_steps(
    call: Call, looked: Looked | None, answer: Answer | None, let_in: LetIn
) -> Coroutine[Any, Any, None]:
    """Answer one request that guards refuse or still have to let in, or for which there is no answer at once."""
    if answer is not None and looked is not None:
        return reply_behind_guards(call, looked[0], answer, let_in)
    return Exchange(call, Herd(call)).respond(looked)
