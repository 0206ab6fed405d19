"""A stale entry overtakes an endpoint that takes too long; the endpoint goes on for later requests.

Does not know how a run goes, only whether it has answered.
"""

import asyncio
import logging
from collections.abc import Coroutine
from functools import partial
from typing import Any

from msgspec.structs import replace

from fastapi_caching_route._concurrency.flights import Flight, Instead
from fastapi_caching_route._concurrency.pauses import MAX_PAUSE_SECONDS
from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.variants import Brought
from fastapi_caching_route._exchange.call import Call
from fastapi_caching_route._exchange.compressing import Compressing
from fastapi_caching_route._exchange.errand import Errand
from fastapi_caching_route._exchange.guards import behind_guards, wishes
from fastapi_caching_route._exchange.lookup import Seen
from fastapi_caching_route._exchange.run import Run
from fastapi_caching_route._exchange.stale import may_stand_in, stand_in
from fastapi_caching_route._store.lock import Lock
from fastapi_caching_route._store.visit import Found

logger = logging.getLogger('fastapi_caching_route')


def run_endpoint(errand: Errand) -> Coroutine[Any, Any, None]:
    """Let the endpoint answer; if it takes too long, a stale entry answers in its place."""
    patience = errand.call.plan.run_options.endpoint_timeout
    running = Run(errand).run() if errand.stale is None or patience is None else _with_patience(errand, patience)
    return running if errand.compressing is None else errand.compressing.end(running)


async def _with_patience(errand: Errand, patience: float) -> None:
    call = errand.call
    # Guards and endpoint cannot read a body at the same time that is still coming.
    if await call.body.whole(call.plan.terms.max_body_size) is None:
        await Run(errand).run()
    else:
        # Guards may read the request while the endpoint runs.
        apart = Run(replace(errand, call=replace(call, scope=dict(call.scope))))
        await _overtake(apart, call, patience)


async def _overtake(apart: Run, call: Call, patience: float) -> None:
    """Answer from a stale entry if the endpoint takes longer than so many seconds; it goes on for later requests."""
    errand, failing, clock = apart.errand, call.plan.runtime.failing, call.plan.runtime.clock
    running = asyncio.get_running_loop().create_task(apart.run())
    try:
        await asyncio.wait((running,), timeout=patience)
        if running.done() or not await may_stand_in(errand) or apart.has_responded:
            await running
            return
        client = errand.call.client.hand_over()
        # Before the flight lands: followers that look up must find the pause, or they run the endpoint that is too
        # slow.
        failing.begin(call.key, clock(), MAX_PAUSE_SECONDS)
        errand.flight.land(Instead.LOOK_UP)
        await behind_guards(replace(call, client=client), partial(stand_in, errand, client, reasons.ENDPOINT_TIMEOUT))
        await asyncio.wait((running,))
        if not errand.flight.stored:
            failing.lengthen(call.key, clock())
        if not running.cancelled() and running.exception() is not None:
            logger.warning(
                '%s: the endpoint failed, long after its client was served: %r', call.in_words, running.exception()
            )
    finally:
        running.cancel()


async def run_unstored(call: Call) -> None:
    """Let the endpoint answer a request of a route whose responses are not stored."""
    runtime = call.plan.runtime
    seen = Seen(None, None, 0, runtime.store.visit())
    flight: Flight[Brought] = runtime.flights.unfollowed()
    try:
        await Run(errand_of(call, b'bypass', None, flight, seen)).run()
    finally:
        flight.land(Instead.FORWARD)


def errand_of(
    call: Call, why: bytes, stale: Found | None, flight: Flight[Brought], seen: Seen, *, lock: Lock | None = None
) -> Errand:
    """The errand of the run of this flight, as far as it is known."""
    return Errand(
        call=call,
        wishes=wishes(call),
        why=why,
        stale=stale,
        variants=seen.variants,
        flight=flight,
        visit=seen.visit,
        lock=lock,
        compressing=None if call.plan.compression is None else Compressing(call.plan),
    )
