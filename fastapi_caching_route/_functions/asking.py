"""One call of a cached function, sent through the exchange as a request: the side of the exchange.

It looks up, waits for others, stores, and renews. `calling` is the other side: it runs the function where it was
called.

    exchange                         caller
    RUN                  ──>         runs the function
    what came of that    <──
    Answered(body)       ──>         returns its own result, or the one in the body

Only a renewal, which nobody waits for, is run by the exchange. Knows no arguments and no types.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, Protocol

from msgspec import Struct

from fastapi_caching_route._concurrency.flights import RunFailedError
from fastapi_caching_route._core.asgi import OF_THE_ENDPOINT, WISHES, Message, Receive, Scope, Send
from fastapi_caching_route._core.names import Named
from fastapi_caching_route._core.wishes import Wishes
from fastapi_caching_route._exchange.account import Account
from fastapi_caching_route._exchange.call import Call, Client, RequestBody, raw_of
from fastapi_caching_route._exchange.exchange import Exchange
from fastapi_caching_route._exchange.herd import Herd
from fastapi_caching_route._exchange.hit import at_once, count, tell_hit
from fastapi_caching_route._exchange.lookup import Looked, Looking
from fastapi_caching_route._exchange.plan import Plan
from fastapi_caching_route._functions.planning import METHOD, OK, Planned
from fastapi_caching_route._functions.results import Results


class RunResult(Struct, frozen=True):
    """What a run of the function has made."""

    result: Any
    body: bytes
    refused: str | None
    """Why it must not be stored, if so."""


class Defines(Protocol):
    """Knows of a function what becomes of its results."""

    @property
    def results(self) -> Results:
        """How they are written."""
        ...

    def made(self, result: Any, /) -> RunResult:
        """What a result comes to."""
        ...

    async def forget(self, key: str, /) -> None:
        """Forget what is stored under a key, because it is none of the results."""
        ...


class FunctionCall(Struct, frozen=True):
    """What is called."""

    planned: Planned
    scope: dict[str, Any]
    names: Callable[[], Named]
    """The names of the entry. Code of the user's runs for them, so the caller asks for them."""
    run: Callable[[], Any]
    """Runs the function, or makes the coroutine that does."""
    definition: Defines

    @property
    def key(self) -> str:
        """The full key."""
        return self.planned.keys(self.scope)[1]

    @property
    def name(self) -> tuple[str, bytes]:
        """The function and its arguments. It costs less than the key; only two of one name may share it."""
        return self.planned.in_words, self.scope['query_string']


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
    """What is stored for a call, if that was found out without waiting, or the body of a response from it."""
    plan = call.planned.plan
    so_far = plan.runtime.flights.brought_so_far
    result = at_once(plan, call.planned.declared, call.scope)
    if result is None:
        return None, None
    if isinstance(result, Looked):
        # The exchange goes on in another step, and must know of what has landed meanwhile.
        how = Looking(so_far, plan.runtime.store.visit(), None, time.monotonic())
        return Looked(result.keys, result.stored, how), None
    count(plan.counts, result)
    if plan.runtime.observers.tell is not None:
        tell_hit(Account(plan, METHOD, _to_nobody).start_timing(), plan, result)
    return None, result.body['body']


class Inquiry(Struct, eq=False):
    """The side of the exchange."""

    _call: FunctionCall
    _plan: Plan
    _looked: Looked | None
    _say: Callable[[Steps], None]
    _run_again: Callable[[], Awaitable[Given]]
    _given: 'asyncio.Future[Given] | None' = None
    _is_answered: bool = False

    async def respond(self) -> None:
        """Send the call through the exchange, from its beginning to its end."""
        plan, declared, scope = self._plan, self._call.planned.declared, self._call.scope
        account = Account(plan, METHOD, self._send)
        if plan.runtime.observers.tell is not None:
            account.start_timing()
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
        if isinstance(made, Exception):
            raise RunFailedError(made, made.__traceback__)
        scope[OF_THE_ENDPOINT] = True
        if made.refused is not None:
            wishes: Wishes = scope[WISHES]
            wishes.refused = made.refused
        headers = [(b'content-length', b'%d' % len(made.body))]
        if self._plan.compression is not None:
            headers.append((b'content-type', b'application/json'))
        await send({'type': 'http.response.start', 'status': OK, 'headers': headers})
        await send({'type': 'http.response.body', 'body': made.body})

    async def _run_by_caller(self) -> Given:
        self._given = asyncio.get_running_loop().create_future()
        self._say(CallStep.RUN)
        return await self._given

    def give(self, given: Given) -> None:
        """Take what came of the run by the caller. Called in the event loop of the exchange."""
        if self._given is not None and not self._given.done():
            self._given.set_result(given)


async def _no_body() -> Message:
    return {'type': 'http.request', 'body': b'', 'more_body': False}


async def _to_nobody(_message: Message) -> None:
    """A `send` that drops what is sent."""
