"""Dependencies that run where the route does not run them: before the key, and before every use of an entry.

Does not know what goes on behind them.
"""

from collections.abc import Awaitable, Callable
from functools import partial

from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.asgi import HANDLER, READ_LOG, WISHES, WRITTEN, Message, Send
from fastapi_caching_route._core.declared import ACCEPTED, Admission, Declared, GuardRefusal
from fastapi_caching_route._core.labels import Outcome
from fastapi_caching_route._core.wishes import Wishes
from fastapi_caching_route._core.written import Written
from fastapi_caching_route._exchange.account import Account
from fastapi_caching_route._exchange.call import Call
from fastapi_caching_route._exchange.messages import Lent, read_head, with_headers, with_start
from fastapi_caching_route._exchange.plan import Plan

Then = Callable[[], Awaitable[None]]


async def behind_guards(call: Call, then: Then) -> None:
    """Run the guards on the request as the client sent it, then go on if they let it in.

    The endpoint may have been sent other preconditions, which stand in the scope now.
    """
    if call.client.is_nobody:
        await then()
    else:
        with Lent(call.scope, {'headers': call.client.headers}):
            await admit(call, call.declared.on_hit, then)


async def admit(call: Call, admission: Admission | None, then: Then) -> None:
    """Run dependencies, if there are any, then go on if they let the request in.

    The headers that they set go with the response.
    """
    decision = ACCEPTED if admission is None else await admission.decide(call.scope)
    if admission is None or decision is ACCEPTED:
        await then()
    elif isinstance(decision, GuardRefusal):
        await send_refusal(call, decision)
    else:
        await run_guards(call, admission, then)


async def send_refusal(call: Call, refusal: GuardRefusal) -> None:
    """Send the response with which the guards refuse the request."""
    label = partial(_refused, call.plan, call.declared, call.client.account)
    await refusal.app(call.scope, call.body.reader(), with_start(call.client.send, label))


async def run_guards(call: Call, admission: Admission, then: Then) -> None:
    """Run the dependencies, and go on inside of them; if one refuses the request, its response is sent."""
    is_admitted = False
    label = partial(_refused, call.plan, call.declared, call.client.account)
    wishes(call)
    written = call.scope[WRITTEN] = Written(call.client.before_key)

    async def proceed(send: Send) -> bool:
        nonlocal is_admitted
        is_admitted = True
        call.client.note_guards(written.by_guards, send, before_key=admission is call.declared.before_key)
        await then()
        return call.client.keeps_tasks

    def refused(start: Message) -> Message:
        # Not by `call`, whose client gets a `send` that leads here: that would be a reference cycle.
        return start if is_admitted else label(start)

    await admission(call.scope, call.body.reader(), with_start(call.client.send, refused), proceed)


def _refused(plan: Plan, declared: Declared, account: Account, start: Message) -> Message:
    """Label a refusal as a miss would be, so that it does not reveal whether there is an entry."""
    account.note('refused', reasons.STATUS.name)
    return labelled(plan, declared, start, Outcome(b'uri-miss', detail=reasons.STATUS.name))


def wishes(call: Call) -> Wishes:
    """The record in the scope of what dependencies and the endpoint wish for this response (`CacheContext`)."""
    said: Wishes = call.scope.setdefault(WISHES, Wishes())
    said.key, said.full_key = call.own_key, call.key
    return said


async def forward_unstored(call: Call, handler: object | None, outcome: Outcome) -> None:
    """Run the endpoint by this request handler, without looking anything up or storing anything."""
    wishes(call)
    call.scope[HANDLER] = handler
    call.scope[READ_LOG] = None
    written = call.scope[WRITTEN] = Written(call.client.before_key)
    send = with_start(call.client.send, lambda start: labelled(call.plan, call.declared, start, outcome))
    await call.forward(call.scope, call.body.reader(last=True), send)
    call.client.keeps_tasks = written.keeps_tasks


def labelled(plan: Plan, declared: Declared, start: Message, outcome: Outcome) -> Message:
    """The start of a response that is passed on, as its client gets it."""
    head = read_head(start, declared.inputs.selecting, ours=plan.labels.cache_header)
    return with_headers(start, head.headers, plan.labels.on_pass(outcome))
