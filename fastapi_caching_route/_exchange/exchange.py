"""One request through the cache that was not answered when it arrived.

Performs the steps of a request in their order. `_http` decides what HTTP requires, and `_core` makes the cache key.
A miss continues in `run`. Knows nothing of FastAPI.
"""

import logging
from collections.abc import Coroutine
from copy import copy
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from fastapi_caching_route._concurrency.flights import Flight, Instead
from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.codings import UndecodableError
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.labels import Outcome
from fastapi_caching_route._core.reasons import Bypass
from fastapi_caching_route._core.variants import Brought
from fastapi_caching_route._exchange.call import Call
from fastapi_caching_route._exchange.guards import admit, forward_unstored
from fastapi_caching_route._exchange.herd import Alone, Follow, Herd, Lead, LookAgain
from fastapi_caching_route._exchange.keying import find_key
from fastapi_caching_route._exchange.lookup import (
    Looked,
    Seen,
    is_renewal_due,
    judge,
    look_up,
    window_on_error,
)
from fastapi_caching_route._exchange.overtaking import errand_of, run_endpoint, run_unstored
from fastapi_caching_route._exchange.user_code import tell
from fastapi_caching_route._http import reuse
from fastapi_caching_route._http.reuse import ANSWER, NO_DEMAND, REFRESH, RENEW, VALIDATE, Demand
from fastapi_caching_route._store.lock import Lock
from fastapi_caching_route._store.variants import conditions_of
from fastapi_caching_route._store.visit import Found

logger = logging.getLogger('fastapi_caching_route')


class Reply(Struct, frozen=True):
    """The entry answers: it is fresh, or stale in its window, or stands in for an endpoint that failed a moment ago."""

    entry: Entry
    age: float
    left: float
    """Seconds of freshness left; negative if it is stale."""
    renews: bool = False
    """Whether it is renewed after that."""
    detail: str | None = None


class Forward(Struct, frozen=True):
    """The endpoint has to run."""

    why: bytes
    """In the words of Cache-Status."""
    stale: Found | None


class Exchange(Struct, eq=False):
    """One request through one cached route. Read on: each method is called by one above it.

    before the key -> key -> look up -> decide -> reply | reply and renew | 504 | forward
    forward: lead | follow | look again | alone
    """

    _call: Call
    _herd: Herd
    _cannot_be_sent: bool = False
    """Whether an entry that is kept compressed could not be decoded when it was to be sent. Nothing has been sent."""

    def respond(self, looked: Looked | None) -> Coroutine[Any, Any, None]:
        """Run the dependencies that must come before the key, then answer."""
        call = self._call
        bypass = call.plan.bypass_of(call.scope)
        if bypass is not None:  # no dependency has run yet
            return self._bypass(bypass, call.declared.pass_handler)
        if call.declared.before_key is None:
            return self._from_key_on(looked)
        return admit(call, call.declared.before_key, partial(self._admitted, looked))

    async def _admitted(self, looked: Looked | None) -> None:
        self._call.client.account.end_part('guards')
        await self._from_key_on(looked)

    async def _from_key_on(self, looked: Looked | None) -> None:
        """Respond from the store if RFC 9111 §4 allows it, else from the endpoint."""
        call, account = self._call, self._call.client.account
        if not call.plan.stores:
            await run_unstored(call)
            return
        keys = looked.keys if looked else await find_key(call)
        demand = reuse.demand(call.scope['headers']) if call.plan.heeds_demands else NO_DEMAND
        if isinstance(keys, Bypass) and demand.only_if_cached:
            await self._refuse()
            return
        if isinstance(keys, Bypass):
            tell(reasons.named(keys.in_words), call.scope['path'], call.plan.told)
            # What had to run before the key has run, and `run_handler` does not run it again.
            await self._bypass(keys, call.declared.run_handler)
            return
        call.own_key, call.key = keys
        account.key = call.own_key
        seen = await look_up(call, looked)
        account.end_part('look_up')
        while not await self._settle(seen, demand):  # `MAX_ATTEMPTS` of the herd bounds it
            seen = await look_up(call, visit=seen.visit)

    def _bypass(self, bypass: Bypass, handler: object | None) -> Coroutine[Any, Any, None]:
        self._call.client.account.note('bypass', bypass.in_words)
        return forward_unstored(self._call, handler, Outcome(bypass.why, detail=bypass.reason))

    async def _settle(self, seen: Seen, demand: Demand) -> bool:
        """Answer in one of these ways; False if there may be something else in the store by now."""
        call = self._call
        match await self._decide(seen, demand):
            case Reply() as reply:
                before = copy(call.client) if reply.entry.coded else None
                await admit(call, call.declared.on_hit, partial(self._reply, reply))
                if before is not None and self._cannot_be_sent:
                    # It becomes a miss: guards run once more with the endpoint, so what they wrote does not count.
                    call.client, self._cannot_be_sent = before, False
                    await seen.visit.forget(reply.entry.key)
                    return False
                if reply.renews and call.client.was_served:
                    await self._renew(seen)
            case Forward() if demand.only_if_cached:
                await self._refuse()
            case Forward() as forward:
                return await self._forward(forward, seen, demand)
        return True

    def _refuse(self) -> Coroutine[Any, Any, None]:
        """Send nothing but a 504: the client wants a stored response only, and gets none (RFC 9111 §5.2.1.7)."""
        call = self._call
        labels = call.plan.labels.on_pass(Outcome(None, detail=reasons.ONLY_IF_CACHED.name))
        call.client.account.note('refused', reasons.ONLY_IF_CACHED.name)
        return admit(call, call.declared.on_hit, partial(call.client.reply_nothing, labels))

    async def _decide(self, seen: Seen, demand: Demand) -> Reply | Forward:
        """Whether the entry is sent: only if RFC 9111 §4 allows it, or RFC 5861 in its windows.

        If it is to be renewed, the body of the request is read first: the renewal sends it once more.
        """
        found, plan = seen.found, self._call.plan
        if found is None:
            return Forward(b'vary-miss' if seen.variants else b'uri-miss', None)
        entry = found.entry
        use, age, left = judge(found, plan.runtime.clock(), demand, plan.run_options)
        renews = use in {RENEW, REFRESH}
        if renews and await self._call.body.whole(plan.terms.max_body_size) is None:  # it cannot be sent once more
            renews = False
            use = ANSWER if use is REFRESH else VALIDATE
        if use is not VALIDATE:
            return Reply(entry, age, left, renews)
        if self._may_bridge(entry, left, demand):
            return Reply(entry, age, left, detail=reasons.STALE_IF_ERROR.name)
        return Forward(b'stale' if left <= 0 or entry.must_validate else b'request', found)

    def _may_bridge(self, entry: Entry, left: float, demand: Demand) -> bool:
        """Whether a stale entry may answer without asking the endpoint, which failed a moment ago (RFC 5861 §4)."""
        call, runtime = self._call, self._call.plan.runtime
        if demand is not NO_DEMAND or not runtime.failing.holds(call.key, runtime.clock()):
            return False
        return reuse.in_window(left, window_on_error(call.plan, call.scope['headers'], entry))

    async def _reply(self, reply: Reply) -> None:
        """Answer from an entry."""
        call, entry = self._call, reply.entry
        call.client.account.end_part('guards')
        call.client.account.note(
            'hit' if reply.left > 0 else 'stale', reply.detail, age=reply.age, saved=entry.about.seconds
        )
        detail = None if reply.detail is None else reply.detail.encode()
        headers, inputs = call.client.headers_of(entry), call.declared.inputs
        labels = call.plan.labels.on_hit(reply.age, reply.left, headers, inputs, entry.read, detail=detail)
        try:
            await call.client.reply(entry, labels, call.plan.runtime.clock())
        except UndecodableError:  # a guard has just forbidden to transform the body, so it has to be sent decoded
            self._cannot_be_sent = True

    async def _forward(self, forward: Forward, seen: Seen, demand: Demand) -> bool:
        """Let the endpoint answer, or wait for a request that does; False if this one is to look again."""
        call = self._call
        match await self._herd.join(seen, demand):
            case Lead() as lead:
                return await self._lead(lead, forward, seen)
            case Follow() as follow:
                await admit(call, call.declared.on_hit, partial(self._reply_as_follower, follow, forward.why))
            case LookAgain.LOOK_AGAIN:
                return False
            case Alone(variants):
                flight: Flight[Brought] = call.plan.runtime.flights.unfollowed()
                try:
                    await run_endpoint(errand_of(call, forward.why, forward.stale, flight, seen.among(variants)))
                finally:
                    flight.land(Instead.FORWARD)
        return True

    async def _lead(self, lead: Lead, forward: Forward, seen: Seen) -> bool:
        """Let the endpoint answer this request and its followers; False if another process has stored something."""
        flight, latest = lead.flight, seen.among(lead.variants)
        lock = self._herd.lock(flight, lead.variants) if self._call.plan.run_options.lock else None
        try:
            current = latest if lock is None else await self._locked(lock, latest)
            if current is None:
                return False
            await run_endpoint(errand_of(self._call, forward.why, forward.stale, flight, current, lock=lock))
        finally:
            _end(flight, lock)
        return True

    async def _locked(self, lock: Lock, seen: Seen) -> Seen | None:
        """The result of a new look-up under the lock; None if another process has stored something fresh meanwhile."""
        latest = seen

        async def is_stored() -> bool:
            """Whether there is something fresh by now. It is a new visit, so with all of its time."""
            nonlocal latest
            latest = await look_up(self._call)
            found, now = latest.found, self._call.plan.runtime.clock()
            return found is not None and found.age_and_left(now)[1] > 0

        return latest if await lock.take(is_stored) else None

    async def _reply_as_follower(self, follow: Follow, why: bytes) -> None:
        """Answer from what another request has brought."""
        call, entry = self._call, follow.entry
        now = call.plan.runtime.clock()
        age = reuse.age(entry.stored_at, now)
        headers, inputs = call.client.headers_of(entry), call.declared.inputs
        ours = call.plan.labels.our_cache_control(headers, inputs, entry.read, age, entry.lifetime - age)
        call.client.account.note('collapsed', age=age, saved=entry.about.seconds)
        await call.client.reply(entry, call.plan.labels.on_entry(Outcome(why, collapsed=True), age, ours), now)

    async def _renew(self, seen: Seen) -> None:
        """Run the endpoint again for later requests, after this client received the entry.

        Only one request does this for a key. The renewal repeats the request with its headers and credentials. The
        response is stored, and not sent.
        """
        call, runtime, key = self._call, self._call.plan.runtime, self._herd.flight_key(seen.variants)
        if key is None:
            return
        has_ended = runtime.flights.has_brought(key, seen.brought_so_far)
        if has_ended or not is_renewal_due(call.plan, call.key, runtime.clock(), key):
            return
        flight = runtime.flights.lead(key)
        lock = self._herd.lock(flight, seen.variants)
        again = call.for_nobody(conditions_of(call.declared.inputs, seen.variants))
        now = replace(seen, visit=runtime.store.visit())
        errand = errand_of(again, b'stale', seen.found, flight, now, lock=lock)
        try:
            if lock is not None and not await lock.try_to_take():  # another process renews it
                return
            await run_endpoint(errand)
        except Exception as error:  # noqa: BLE001, its client has been served: it must not hear of it
            logger.warning('%s: its renewal failed, the stale entry stays: %r', call.in_words, error)
        finally:
            _end(flight, lock)
        await flight.landing()
        if flight.stored:
            runtime.unrenewable.end(call.key)
        else:
            runtime.unrenewable.lengthen(call.key, runtime.clock())


def _end(flight: Flight[Brought], lock: Lock | None) -> None:
    """Land the flight unless storing is to do so: another process may have stored something if there is a lock."""
    if not flight.is_storing:
        flight.land(Instead.LEAD if lock is None else Instead.LOOK_UP)
