"""One request through the cache: start reading here.

Does things in their order; what HTTP has to say is decided in `_http`, and what makes a key in `_key`. A hit that needs
nobody is answered by `_hit`, and a miss goes on in `_fetch`. Knows nothing of FastAPI.

Route and exchange talk through the scope: `HANDLER` names a request handler that runs explicit dependencies inside of
the route, and `FATE` holds what endpoint and dependencies say about the answer.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from fastapi_caching_route._concurrency.flights import Flight, Instead
from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.asgi import FATE, HANDLER, WRITTEN, App, Message, Receive, Scope, Send
from fastapi_caching_route._core.declared import Admission, Declared
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.labels import Outcome
from fastapi_caching_route._core.reasons import Bypass
from fastapi_caching_route._core.variants import Brought, Variants, variant_key, variant_of
from fastapi_caching_route._core.wishes import Fate
from fastapi_caching_route._core.written import Written
from fastapi_caching_route._exchange.call import Client, RequestBody
from fastapi_caching_route._exchange.herd import Herd, Next
from fastapi_caching_route._exchange.lookup import Looked, find_key, hit, look
from fastapi_caching_route._exchange.messages import Lent, start_fields, with_start
from fastapi_caching_route._exchange.plan import Plan, tell
from fastapi_caching_route._exchange.run import Fetch
from fastapi_caching_route._exchange.stale import for_nobody
from fastapi_caching_route._http import reuse
from fastapi_caching_route._store.lock import Lock
from fastapi_caching_route._store.visit import Found, Visit

logger = logging.getLogger('fastapi_caching_route')


async def respond(plan: Plan, scope: Scope, receive: Receive, send: Send, forward: App) -> None:
    """Answer a request to a cached route: in one go, if that can be, else by an exchange. `forward` lets the endpoint answer."""
    if not isinstance(scope['headers'], list):  # ASGI lets it be any iterable, and we are not its only reader
        scope['headers'] = list(scope['headers'])
    declared = plan.declared()
    looked = look(plan, declared, scope)
    answer = None if looked is None else hit(plan, declared, scope, looked)
    for message in answer or ():
        await send(message)
    if answer is None:
        scope.pop(FATE, None)  # it may be the scope of an earlier request, that somebody sends once more
        client = Client(scope, send, plan.labels.miss[0])
        await Exchange(plan, declared, scope, RequestBody(receive), client, forward, looked).respond()


@dataclass(slots=True)
class Exchange:
    """One request, and the response it gets, passing through one cached route.

    Read the methods in order: each is called by one above it.
    """

    plan: Plan
    declared: Declared
    scope: Scope
    body: RequestBody
    client: Client
    forward: App  # lets the endpoint answer
    looked: Looked | None  # what has been looked up already, if that could be
    own_key: str | None = None
    key: str = ''
    visit: Visit = field(init=False)
    variants: Variants | None = None
    landings: int = 0  # flights that had landed when it looked up what is stored
    herd: Herd | None = None
    is_served: bool = False  # from what is stored

    def respond(self) -> Awaitable[None]:
        """Run the dependencies that must come before the key, then answer."""
        passed_by = self.plan.passes_by(self.scope)
        if passed_by is None:
            return self.admit(self.declared.before_key, self.answer)
        return self.pass_by(passed_by[0], self.declared.uncached_handler, passed_by[1])

    async def behind_guards(self, then: Callable[[], Awaitable[None]]) -> None:
        """Go on if the guards let this request in, as its client has sent it: the endpoint may be asked with other fields."""
        with Lent(self.scope, {'headers': self.client.headers}):
            await self.admit(self.declared.on_hit, then)

    def admit(self, admission: Admission | None, then: Callable[[], Awaitable[None]]) -> Awaitable[None]:
        """Run dependencies, if there are any, and go on if they let the request in."""
        return then() if admission is None else self.run(admission, then)

    async def run(self, admission: Admission, then: Callable[[], Awaitable[None]]) -> None:
        """Run dependencies, and go on if they let the request in. The fields that they set go with the answer."""
        if await admission.lets_in(self.scope):
            await then()
            return
        self.hear()
        written = self.scope[WRITTEN] = Written(self.client.before_key)
        admitted = False

        async def proceed(send: Send) -> bool:
            nonlocal admitted
            admitted = True
            self.client.let_in(written.by_guards, send, before_key=admission is self.declared.before_key)
            await then()
            return self.client.keeps_tasks

        def refused(start: Message) -> Message:
            """The start of a refusal: it looks as if the route had run them, so it does not tell what is stored."""
            return start if admitted else self.dressed(start, b'uri-miss', 'status')

        await admission(self.scope, self.body.reader(), with_start(self.client.send, refused), proceed)

    def hear(self) -> Fate:
        """What user code says about the answer, through the scope: dependencies, and then the endpoint."""
        fate: Fate = self.scope.setdefault(FATE, Fate())
        fate.key, fate.full_key = self.own_key, self.key
        return fate

    async def answer(self) -> None:
        """Answer from the store when RFC 9111 §4 allows it, else from the endpoint."""
        keys = self.looked[0] if self.looked else await find_key(self.plan, self.declared, self.scope, self.body)
        if isinstance(keys, Bypass):
            tell(reasons.named(keys.reason), self.scope['path'], self.plan.told)
            await self.pass_by(b'bypass', self.declared.handler, keys.reason)
        else:
            self.own_key, self.key = keys
            await self.serve(reuse.demand(self.scope['headers']) if self.plan.heeds_demands else reuse.NO_DEMAND)

    async def serve(self, demand: reuse.Demand) -> None:
        """Answer from what is stored, or let the endpoint answer."""
        self.visit = self.plan.runtime.store.visit()
        self.landings = (
            self.plan.runtime.flights.brought_so_far
        )  # none has landed since `respond` looked: it is the same step
        found = await self.look_up()
        if found is None:
            await self.ask(demand, b'vary-miss' if self.variants else b'uri-miss')
            return
        entry, (age, left) = found.entry, found.age_and_left(self.plan.runtime.clock())
        use = found.use(age, left, demand)
        renews = use is reuse.Use.RENEW or (use is reuse.Use.ANSWER and self.plan.herds.is_due(entry, age))
        renews = renews and await self.body.whole(self.plan.terms.max_body_size) is not None  # it can be sent again
        if use is reuse.Use.ANSWER or renews:
            await self.admit(self.declared.on_hit, partial(self.reply, entry, age, left))
            if renews and self.is_served:
                await self.renew(found)
        elif self.may_bridge(entry, left, demand):
            await self.admit(self.declared.on_hit, partial(self.reply, entry, age, left, b'stale-if-error'))
        else:
            await self.ask(demand, b'stale' if left <= 0 or entry.validated_always else b'request', found)

    async def pass_by(self, why: bytes, handler: object, reason: str | None = None) -> None:
        """Let the endpoint answer without looking anything up or keeping anything."""
        self.hear()
        self.scope[HANDLER] = handler
        written = self.scope[WRITTEN] = Written(self.client.before_key)
        dress = partial(self.dressed, why=why, reason=reason)
        await self.forward(self.scope, self.body.reader(last=True), with_start(self.client.send, dress))
        self.client.keeps_tasks = written.keeps_tasks

    def dressed(self, start: Message, why: bytes, reason: str | None) -> Message:
        """The start of an answer that is not kept, as this client gets it."""
        began = start_fields(start, self.declared.inputs.selecting, ours=self.plan.labels.miss[0])
        return {**start, 'headers': [*began.fields, *self.plan.labels.on_pass(Outcome(why, detail=reason))]}

    async def look_up(self) -> Found | None:
        """What is stored for this request and has not been invalidated, fresh or not."""
        self.variants = None
        found = await self.visit.look_up(self.key) if self.looked is None else self.looked[1]
        self.looked = None  # the next time, there may be something else
        if isinstance(found, Variants):
            self.variants = found
            by_the_book = self.plan.terms.by_the_book
            variant = variant_of(found, self.scope, self.declared.inputs.left_out, normalised=by_the_book)
            found = await self.visit.look_up(variant_key(found, variant)) if variant in found.known else None
        if self.herd is not None:
            self.herd.variants = self.variants  # which another process may have stored while this one waited
        return found if isinstance(found, Found) else None

    def may_bridge(self, entry: Entry, left: float, demand: reuse.Demand) -> bool:
        """Whether a stale entry answers at once, since the endpoint has failed lately (RFC 5861 §4)."""
        bridges = demand is reuse.NO_DEMAND and reuse.in_window(left, entry.stale_if_error)
        return bridges and self.plan.runtime.failing.holds(self.key, self.plan.runtime.clock())

    def reply(self, entry: Entry, age: float, left: float, detail: bytes | None = None) -> Awaitable[None]:
        """Answer from an entry of this age that is fresh for so many seconds more."""
        self.is_served = True
        headers = self.client.headers_of(entry)
        signs = self.plan.labels.on_hit(age, left, headers, self.declared.inputs, self.variants, detail=detail)
        return self.client.reply(entry, signs, self.plan.runtime.clock())

    async def ask(self, demand: reuse.Demand, why: bytes, stale: Found | None = None) -> None:
        """Let the endpoint answer, if the client wants that; what is stored may not answer without asking it."""
        if demand.only_if_cached:
            signs = self.plan.labels.on_pass(Outcome(None, detail=reasons.ONLY_IF_CACHED.name))
            await self.admit(self.declared.on_hit, partial(self.client.reply_nothing, signs))
            return
        match await self.others().join(demand):
            case Flight() as flight:
                await self.lead(flight, why, stale)
            case Entry() as entry:
                await self.admit(self.declared.on_hit, partial(self.reply_as_follower, entry, why))
            case Next.LOOK_AGAIN:
                await self.serve(demand)
            case Next.ALONE:
                await self.fetch(why, stale, self.plan.runtime.flights.unfollowed()).run()

    def others(self) -> Herd:
        """Those who ask for the same, since the last look-up."""
        self.herd = self.herd or Herd(self.plan, self.scope, self.declared.inputs, self.key)
        self.herd.landings, self.herd.variants = self.landings, self.variants
        return self.herd

    async def lead(self, flight: Flight[Brought], why: bytes, stale: Found | None) -> None:
        """Let the endpoint answer this request, and those who wait for it, here and in other processes."""
        assert self.herd is not None
        lock = self.herd.lock(flight)
        try:
            if lock is None or await lock.take(self.is_stored):
                await self.fetch(why, stale, flight).run()
                return
        finally:
            self.end(flight, lock)
        await self.serve(reuse.NO_DEMAND)  # who leads has none

    async def is_stored(self) -> bool:
        """Whether there is something fresh by now."""
        self.visit = self.plan.runtime.store.visit()  # a new visit has a new deadline
        return (found := await self.look_up()) is not None and found.age_and_left(self.plan.runtime.clock())[1] > 0

    async def reply_as_follower(self, entry: Entry, why: bytes) -> None:
        """Answer from what another request has brought."""
        now, variants = self.plan.runtime.clock(), self.herd.variants if self.herd is not None else None
        ours = self.plan.labels.our_cache_control(self.client.headers_of(entry), self.declared.inputs, variants)
        signs = self.plan.labels.on_entry(Outcome(why, collapsed=True), reuse.age(entry.stored_at, now), ours)
        await self.client.reply(entry, signs, now)

    async def renew(self, stale: Found) -> None:
        """Have the endpoint answer anew for whoever comes next, now that this client has got the stale entry.

        One request does that for a key. It asks as itself, with its own inputs and credentials, but nobody listens.
        """
        herd, flights = self.others(), self.plan.runtime.flights
        was_begun = flights.under_way(herd.flight_key, self.plan.herds.collapse_timeout) is not None
        was_begun = was_begun or flights.has_brought(herd.flight_key, self.landings)
        if was_begun or self.plan.runtime.unrenewable.holds(self.key, self.plan.runtime.clock()):
            return
        flight = flights.lead(herd.flight_key)
        lock = herd.lock(flight)
        fetch = self.fetch(b'stale', stale, flight, herd.asked_again())
        try:
            if lock is not None and await lock.is_taken():  # another process renews it
                return
            await fetch.run()
        except Exception as error:  # noqa: BLE001, its client has been served: it must not hear of it
            logger.warning('%s: its renewal failed, the stale entry stays: %r', self.key, error)
        finally:
            self.end(flight, lock)
        await flight.landing()
        if fetch.flight.stored:
            self.plan.runtime.unrenewable.end(self.key)
        else:
            self.plan.runtime.unrenewable.lengthen(self.key, self.plan.runtime.clock())

    def end(self, flight: Flight[Brought], lock: Lock | None) -> None:
        """Tell those who wait, as far as that is not done when the response is stored."""
        if not flight.is_storing:
            flight.land(Instead.LEAD if lock is None else Instead.LOOK_UP)  # another process may have stored something

    def fetch(self, why: bytes, stale: Found | None, flight: Flight[Brought], again: Scope | None = None) -> Fetch:
        """A run of the endpoint for the client or, if it is asked again, for nobody."""
        fetch = Fetch(
            plan=self.plan,
            scope=self.scope if again is None else again,
            body=self.body if again is None else self.body.again(),
            client=self.client if again is None else self.client.nobody(again),
            declared=self.declared,
            fate=self.hear() if again is None else Fate(self.own_key, self.key),
            forward=self.forward,
            visit=self.visit if again is None else self.plan.runtime.store.visit(),
            key=self.key,
            why=why,
            variants=self.variants if self.herd is None else self.herd.variants,
            stale=stale,
            flight=flight,
            behind_guards=self.behind_guards if again is None else for_nobody,
        )
        fetch.scope[FATE] = fetch.fate
        return fetch
