"""What all routes of one cache have in common while the app runs. Knows neither routes nor requests."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi_caching_route._concurrency.flights import Flights
from fastapi_caching_route._concurrency.observers import Observers
from fastapi_caching_route._concurrency.pauses import Pauses
from fastapi_caching_route._core.counts import Counts
from fastapi_caching_route._core.minutes import Minutes
from fastapi_caching_route._core.recorder import Budget
from fastapi_caching_route._core.variants import Brought, RecentRecords
from fastapi_caching_route._exchange.coded_bodies import CodedEntries, PlainBodies
from fastapi_caching_route._exchange.switch import Switch
from fastapi_caching_route._store.visit import Store


@dataclass(frozen=True, slots=True)
class Runtime:
    """What all routes of one `FastAPICache` have in common while the app runs."""

    store: Store
    clock: Callable[[], float]
    """Seconds since the epoch."""
    flights: Flights[Brought]
    """The runs of endpoints that are under way in this process."""
    unshareable: Pauses
    """Keys whose responses could not be shared lately."""
    failing: Pauses
    """Keys whose endpoint failed lately, while something stale could answer."""
    unrenewable: Pauses
    """Keys whose entries could not be renewed lately."""
    unstorable: Pauses
    """Keys whose responses the store did not take lately: other processes must not wait for them."""
    budget: Budget
    switch: Switch
    told: set[str]
    """The reasons that were logged once for all routes."""
    observers: Observers
    counts: dict[tuple[str, str], Counts]
    """The numbers of each route, by its path template and its endpoint."""
    records: RecentRecords = field(default_factory=RecentRecords)
    plain_bodies: PlainBodies = field(default_factory=PlainBodies)
    coded_entries: CodedEntries = field(default_factory=CodedEntries)
    compressing: 'set[asyncio.Task[None]]' = field(default_factory=set)
    """The tasks that compress entries behind their first responses."""
    minutes: Minutes = field(default_factory=Minutes)
    """The counters of the last minutes."""

    def counts_of(self, route: str, endpoint: str) -> Counts:
        """The numbers of a route. They are the same object wherever the route is reached."""
        return self.counts.setdefault((route, endpoint), Counts(route, endpoint))
