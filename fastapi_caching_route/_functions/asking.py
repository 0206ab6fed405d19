"""One call of a cached function, sent through the exchange as a request.

Two sides talk to each other. The *exchange* looks up, waits for others, stores, and renews. The *caller* waits for its
steps, and runs the function where it was called: in its own task or thread, with its own context.

    exchange                         caller
    RUN                  ──>         runs the function
    what came of that    <──
    Answered(body)       ──>         returns its own result, or the one in the body

Only a renewal, which nobody waits for, is run by the exchange. Knows no arguments and no types.
"""

import asyncio
import contextvars
import logging
import queue
from collections.abc import Awaitable, Callable
from concurrent import futures
from enum import Enum
from functools import partial
from inspect import isawaitable
from typing import Any

from msgspec import Struct

from fastapi_caching_route._concurrency.tasks import keep_running, on_asyncio
from fastapi_caching_route._core.asgi import NAMES, OF_THE_ENDPOINT, WISHES, Message, Receive, Scope, Send
from fastapi_caching_route._core.names import Named
from fastapi_caching_route._core.wishes import Wishes
from fastapi_caching_route._exchange.account import Account, count
from fastapi_caching_route._exchange.call import Call, Client, RequestBody, raw_of
from fastapi_caching_route._exchange.exchange import Exchange
from fastapi_caching_route._exchange.herd import Herd
from fastapi_caching_route._exchange.lookup import Looked, at_once
from fastapi_caching_route._exchange.plan import Plan
from fastapi_caching_route._functions.planning import METHOD, OK, Planned
from fastapi_caching_route._functions.threads import is_in_loop, loop_for_thread

logger = logging.getLogger('fastapi_caching_route')

_under_way: set['asyncio.Task[Any]'] = set()


class RunResult(Struct, frozen=True):
    """What a run of the function has made."""

    result: Any
    body: bytes
    refused: str | None
    """Why it must not be stored, if so."""


class FunctionCall(Struct, frozen=True):
    """What is called."""

    planned: Planned
    scope: dict[str, Any]
    names: Callable[[], Named]
    """The names of the entry. Code of the user's runs for them, so the caller asks for them."""
    run: Callable[[], Any]
    """Runs the function, or makes the coroutine that does."""
    made: Callable[[Any], RunResult]
    """What the result comes to."""


class CallStep(Enum):
    """What the exchange tells its caller, without a body."""

    RUN = 'run'
    END = 'end'


class Answered(Struct, frozen=True):
    """There is a response."""

    body: bytes


Steps = Answered | CallStep
Given = RunResult | Exception


def answer_at_once(call: FunctionCall) -> tuple[Looked | None, bytes | None]:
    """What is stored for a call and, if that answers it, the body; without waiting for anything."""
    plan = call.planned.plan
    so_far = plan.runtime.flights.brought_so_far
    looked, answer = at_once(plan, call.planned.declared, call.scope)
    if looked is None or answer is None:
        # The exchange goes on in another step, and must know of what has landed meanwhile.
        return None if looked is None else (looked[0], looked[1], (so_far, plan.runtime.store.visit(), None)), None
    count(plan.counts, answer)
    if plan.runtime.observers.tell is not None:
        Account(plan, METHOD, _to_nobody).observed().was_hit(looked[0][0], answer)
    return looked, answer[1]['body']


class Inquiry(Struct, eq=False):
    """The side of the exchange."""

    _call: FunctionCall
    _plan: Plan
    _looked: Looked | None
    _say: Callable[[Steps], None]
    _run_again: Callable[[], Awaitable[RunResult]]
    _given: 'asyncio.Future[Given] | None' = None
    _is_answered: bool = False

    async def respond(self) -> None:
        """Send the call through the exchange, from its beginning to its end."""
        plan, declared, scope = self._plan, self._call.planned.declared, self._call.scope
        account = Account(plan, METHOD, self._send)
        if plan.runtime.observers.tell is not None:
            account.observed()
        with account:
            client = Client(METHOD, [], account.send, account, plan.labels.cache_header, self._send)
            raw, body = raw_of(declared, scope), RequestBody(_no_body)
            request = Call(plan, declared, scope, body, client, self._forward, raw=raw)
            await Exchange(request, Herd(request)).respond(self._looked)

    async def _send(self, message: Message) -> None:
        if message['type'] == 'http.response.body':
            self._is_answered = True
            self._say(Answered(message['body']))

    async def _forward(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """The endpoint: let the caller run the function, or run it for a renewal."""
        made = await (self._run_again() if self._is_answered else self._run_by_caller())
        scope[OF_THE_ENDPOINT] = True
        if made.refused is not None:
            wishes: Wishes = scope[WISHES]
            wishes.refused = made.refused
        length = b'%d' % len(made.body)
        await send({'type': 'http.response.start', 'status': OK, 'headers': [(b'content-length', length)]})
        await send({'type': 'http.response.body', 'body': made.body})

    async def _run_by_caller(self) -> RunResult:
        self._given = asyncio.get_running_loop().create_future()
        self._say(CallStep.RUN)
        given = await self._given
        if isinstance(given, Exception):
            raise given
        return given

    def give(self, given: Given) -> None:
        """Take what came of the run by the caller. Called in the event loop of the exchange."""
        if self._given is not None and not self._given.done():
            self._given.set_result(given)


async def _no_body() -> Message:
    return {'type': 'http.request', 'body': b'', 'more_body': False}


async def _to_nobody(_message: Message) -> None:
    """A `send` that drops what is sent."""


class Heard(Struct):
    """What a caller has heard and done."""

    own: Given | None = None
    """What came of its own run."""
    body: bytes | None = None
    """The response, if that is another one."""
    error: BaseException | None = None
    """What has ended the exchange without a response."""

    @property
    def is_nothing(self) -> bool:
        """Whether the exchange has ended without anything, as when its event loop is closed."""
        return self.own is None and self.body is None and self.error is None

    def take(self, step: Steps, error: BaseException | None) -> None:
        """Note the response, or the end; a result of its own is better than its copy in a response."""
        if isinstance(step, Answered) and not isinstance(self.own, RunResult):
            self.body = step.body
        self.error = error

    def result(self) -> Any:
        """What the call returns if there is no body.

        Raises:
            Exception: what the function has raised.

        """
        own, error, self.own, self.error = self.own, self.error, None, None
        try:
            if isinstance(own, RunResult):
                if error is not None:
                    logger.warning('the result of a function is not stored: %r', error)
                return own.result
            raise own or error or RuntimeError
        finally:
            del own, error  # or the traceback would hold itself


async def ask(call: FunctionCall, looked: Looked | None) -> Heard | None:
    """Call an async function through the exchange; None if that cannot be done here."""
    if not on_asyncio():
        return None
    call.scope[NAMES] = call.names()
    steps: asyncio.Queue[Steps] = asyncio.Queue()

    async def made() -> RunResult:
        result = call.run()
        return call.made(await result if isawaitable(result) else result)

    asked, heard = Inquiry(call, call.planned.plan, looked, steps.put_nowait, made), Heard()
    task = keep_running(asyncio.get_running_loop().create_task(asked.respond()), _under_way)
    task.add_done_callback(lambda _: steps.put_nowait(CallStep.END))
    is_over = False
    try:
        while not is_over:
            step = await steps.get()
            if step is CallStep.RUN:
                try:
                    heard.own = await made()
                except Exception as error:  # noqa: BLE001, the user's: the exchange may have something stale instead
                    heard.own = error
                asked.give(heard.own)
            else:
                heard.take(step, _error_of(task))
            is_over = step is not CallStep.RUN
    finally:
        if not is_over:
            task.cancel()
    return heard


def ask_in_thread(call: FunctionCall, looked: Looked | None) -> Heard:
    """Call a plain function through the exchange. The exchange goes on in an event loop, and this thread waits.

    A thread that runs an event loop itself waits for no other call: that one may need this loop.
    """
    call.scope[NAMES] = call.names()
    plan, loop = call.planned.alone if is_in_loop() else call.planned.plan, loop_for_thread()
    steps: queue.SimpleQueue[Steps] = queue.SimpleQueue()
    context = contextvars.copy_context()

    def made() -> RunResult:
        return call.made(call.run())

    async def again() -> RunResult:
        return await asyncio.get_running_loop().run_in_executor(None, context.run, made)

    asked, heard = Inquiry(call, plan, looked, steps.put, again), Heard()
    future = asyncio.run_coroutine_threadsafe(asked.respond(), loop)
    future.add_done_callback(lambda _: steps.put(CallStep.END))
    is_over = False
    try:
        while not is_over:
            step = steps.get()
            if step is CallStep.RUN:
                try:
                    heard.own = made()
                except Exception as error:  # noqa: BLE001, as above
                    heard.own = error
                loop.call_soon_threadsafe(partial(asked.give, heard.own))
            else:
                heard.take(step, _error_of(future))
            is_over = step is not CallStep.RUN
    finally:
        if not is_over:
            future.cancel()
    return heard


def _error_of(exchange: 'asyncio.Task[None] | futures.Future[None]') -> BaseException | None:
    """What has ended it, if it has ended, and was not cancelled."""
    return exchange.exception() if exchange.done() and not exchange.cancelled() else None
