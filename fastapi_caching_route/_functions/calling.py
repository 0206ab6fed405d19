"""One call of a cached function: the side of the caller, which waits for the steps of the exchange.

It runs the function where it was called: in its own task or thread, with its own context. Both are one coroutine. In a
task, it waits; in a thread, whatever it waits for blocks instead, so that it comes to its end at once.
"""

import asyncio
import contextvars
import logging
import queue
from collections.abc import Awaitable, Callable, Coroutine, Generator
from concurrent import futures
from contextvars import ContextVar
from functools import partial
from inspect import isawaitable
from typing import Any, Generic, TypeVar

from msgspec import Struct

from fastapi_caching_route._concurrency.flights import RunFailedError
from fastapi_caching_route._concurrency.tasks import keep_running, on_asyncio
from fastapi_caching_route._core.asgi import NAMES
from fastapi_caching_route._exchange.lookup import Looked
from fastapi_caching_route._exchange.plan import Plan
from fastapi_caching_route._functions.asking import Answered, CallStep, FunctionCall, Given, Inquiry, RunResult, Steps
from fastapi_caching_route._functions.results import Results
from fastapi_caching_route._functions.threads import is_in_loop, loop_for_thread, wait_for

logger = logging.getLogger('fastapi_caching_route')

T = TypeVar('T')

_under_way: set['asyncio.Task[Any]'] = set()

_around: ContextVar[tuple[object, ...]] = ContextVar('fastapi_caching_route_around', default=())
"""The names of the calls in whose runs this code runs: a call with one of them would wait for itself."""


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

    def result(self, results: Results) -> Any:
        """What the call returns.

        Raises:
            UnreadableError: the response is none of the results.
            Exception: what the function has raised.

        """
        if self.body is not None:
            return results.loaded(self.body)
        own, error, self.own, self.error = self.own, self.error, None, None
        try:
            if isinstance(own, RunResult):
                if error is not None:
                    logger.warning('the result of a function is not stored: %r', error)
                return own.result
            if isinstance(error, RunFailedError) and error.error is not own:  # of a run that this call has followed
                error.raise_as_it_was()
            raise own or error or RuntimeError
        finally:
            del own, error  # or the traceback would hold itself


class Exchanging(Struct, frozen=True):
    """An exchange that is under way, as its caller sees it."""

    running: 'asyncio.Task[None] | futures.Future[None]'
    next_step: Callable[[], Awaitable[Steps]]
    tell: Callable[[Given], object]
    """Tells it what came of the run."""

    async def heard(self, run: Callable[[], Awaitable[Given]]) -> Heard:
        """Go on until there is a response, or the end."""
        heard = Heard()
        step: Steps = CallStep.RUN
        try:
            while step is CallStep.RUN:
                step = await self.next_step()
                if step is CallStep.RUN:
                    heard.own = await run()
                    self.tell(heard.own)
        finally:
            if step is CallStep.RUN:
                self.running.cancel()
        if isinstance(step, Answered) and not isinstance(heard.own, RunResult):  # its own is better than a copy of it
            heard.body = step.body
        if self.running.done() and not self.running.cancelled():
            heard.error = self.running.exception()
        return heard


async def result_in_task(call: FunctionCall, looked: Looked | None) -> Any:
    """The result of an async function, through the exchange; or without it, where that cannot be.

    Raises:
        UnreadableError: what is stored is none of its results.
        Exception: what the function has raised.

    """
    heard = await _heard_in_task(call, looked) if on_asyncio() else Heard()
    return await _run_in_task(call) if heard.is_nothing else heard.result(call.definition.results)


async def _heard_in_task(call: FunctionCall, looked: Looked | None) -> Heard:
    plan = _plan_of(call, is_alone=False)
    steps: asyncio.Queue[Steps] = asyncio.Queue()
    run = partial(_given, call, partial(_run_in_task, call))
    asked = Inquiry(call, plan, looked, steps.put_nowait, run)
    running = keep_running(asyncio.get_running_loop().create_task(asked.respond()), _under_way)
    running.add_done_callback(lambda _: steps.put_nowait(CallStep.END))
    return await Exchanging(running, steps.get, asked.give).heard(run)


async def _run_in_task(call: FunctionCall) -> Any:
    """Run the function itself."""
    result = call.run()
    return await result if isawaitable(result) else result


def result_in_thread(call: FunctionCall, looked: Looked | None) -> Any:
    """The result of a plain function. The exchange goes on in an event loop, and this thread waits.

    A thread that runs an event loop itself waits for no other call: that one may need this loop.

    Raises:
        UnreadableError: what is stored is none of its results.
        Exception: what the function has raised.

    """
    heard = _without_waiting(_heard_in_thread(call, looked))
    return call.run() if heard.is_nothing else heard.result(call.definition.results)


def _heard_in_thread(call: FunctionCall, looked: Looked | None) -> Coroutine[Any, Any, Heard]:
    plan, loop = _plan_of(call, is_alone=is_in_loop()), loop_for_thread()
    steps: queue.SimpleQueue[Steps] = queue.SimpleQueue()
    context = contextvars.copy_context()
    run = partial(_given, call, lambda: _Had(call.run()))

    async def run_again() -> Given:
        return await asyncio.get_running_loop().run_in_executor(None, context.run, lambda: _without_waiting(run()))

    asked = Inquiry(call, plan, looked, steps.put, run_again)
    running = asyncio.run_coroutine_threadsafe(asked.respond(), loop)
    running.add_done_callback(lambda _: steps.put(CallStep.END))

    def tell(given: Given) -> None:
        loop.call_soon_threadsafe(asked.give, given)

    return Exchanging(running, lambda: _Had(steps.get()), tell).heard(run)


def _plan_of(call: FunctionCall, *, is_alone: bool) -> Plan:
    """The plan by which a call goes through the exchange."""
    call.scope[NAMES] = call.names()
    return call.planned.alone if is_alone or call.name in _around.get() else call.planned.plan


async def _given(call: FunctionCall, run: Callable[[], Awaitable[Any]]) -> Given:
    """What comes of a run."""
    before = _around.set((*_around.get(), call.name))
    try:
        return call.definition.made(await run())
    except Exception as error:  # noqa: BLE001, the user's: the exchange may have something stale instead
        return error
    finally:
        _around.reset(before)


class _Had(Struct, Generic[T], frozen=True):
    """Something that an `await` gives at once."""

    value: T

    def __await__(self) -> Generator[Any, None, T]:
        """Give it."""
        return self.value
        yield


def _without_waiting(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that never waits."""
    try:
        work.send(None)
    except StopIteration as end:
        found: T = end.value
        return found
    raise AssertionError(work)


async def again_in_task(call: FunctionCall) -> Any:
    """The result of an async function for which something unreadable is stored, which is forgotten."""
    await call.definition.forget(call.key)
    return await _run_in_task(call)


def again_in_thread(call: FunctionCall) -> Any:
    """The same for a plain function."""
    wait_for(call.definition.forget(call.key))
    return call.run()
