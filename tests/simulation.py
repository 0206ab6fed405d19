"""Seeded random schedules of everything that touches marks and journals, held against one rule.

*A response computed from data older than an invalidation that has returned is never served after it.*

With near copies that are trusted for some seconds, an invalidation by another process counts after that time, and one
by the same process still at once.

The code under test is the real one; only the store is a dict, in which each command takes effect some time after it was
given and some time before its reply comes. `python -m tests.simulation [schedules]` says what it finds, also for the
algorithm with one step left out.
"""

import asyncio
import heapq
import math
import random
import sys
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace

from fastapi_caching_route._backends import journal as journal_rules
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.key_names import key_name
from fastapi_caching_route._store.moments import Moments, MomentsLedger
from tests.left_out import (
    ASKED_BEFORE,
    LEFT_OUT,
    LEFT_OUT_OF_COPIES,
    LEFT_OUT_OF_COPIES_WITH_JOURNALS,
    LEFT_OUT_OF_COPIES_WITH_MARKS,
    LEFT_OUT_WHERE_FULL,
    LEFT_OUT_WITH_JOURNALS,
    RESTORED,
    SHARED,
    ledger_class,
)
from tests.near_process import NearProcess
from tests.store.journals import LEFT_OUT as LEFT_OUT_OF_JOURNALS
from tests.store.journals import ModelJournals

SECONDS = (1, 1, 10)
"""How long a turn is: hardly anything expires, or a run may take longer than a mark lasts that nobody needs."""

PAUSES = (0, 0, 1, 1, 2, 3, 5, 8, 40)
"""Turns that a command takes, or an endpoint."""

RESOURCES, PROCESSES, ACTORS, SPAN = 2, 2, 60, 400
REFUSES = (0.2, 0.6)
TRUSTED = (5, 20, 60)
"""For how many turns near copies are trusted."""

COUNTS = ('invalidations', 'runs', 'served', 'late', 'shared', 'violations')


@contextmanager
def small_journals():
    """Journals that are full soon, and read in small parts."""
    sizes = {'MAX_TEXTS': 14, 'MAX_READ': 6, 'MAX_TOKENS': 5}
    before = {name: getattr(journal_rules, name) for name in sizes}
    try:
        for name, size in sizes.items():
            setattr(journal_rules, name, size)
        yield
    finally:
        for name, size in before.items():
            setattr(journal_rules, name, size)


class _Classes(dict):
    """The ledgers with a step left out, each compiled once."""

    def __missing__(self, kind_and_step):
        self[kind_and_step] = made = ledger_class(*kind_and_step)
        return made


classes = _Classes()


@dataclass
class Turns:
    """Time: whoever waits goes on in the order of the turns, which the seed decides."""

    rng: random.Random
    now: int = 0
    waiting: list = field(default_factory=list)

    async def pause(self, turns=None):
        turns = self.rng.choice(PAUSES) if turns is None else turns
        if turns:
            going_on = asyncio.get_running_loop().create_future()
            heapq.heappush(self.waiting, (self.now + turns, len(self.waiting) + self.rng.random(), going_on))
            await going_on

    async def run(self, actors):
        running = asyncio.gather(*actors)
        while not running.done():
            if self.waiting:
                self.now, _, going_on = heapq.heappop(self.waiting)
                if not going_on.done():  # who waited may have been cancelled
                    going_on.set_result(None)
            await asyncio.sleep(0)
        await running


@dataclass
class SlowShelf:
    """A dict, some turns away."""

    turns: Turns
    kept: dict = field(default_factory=dict)
    refuses: float = 0
    """How often it has no room for something new, of which others have made some the next time."""
    without: str = ''
    """The rule of journals that it does not keep."""
    seconds: float = 1
    """How long a turn takes by its clock."""
    ends: dict = field(default_factory=dict)

    async def pause(self):
        await self.turns.pause()

    async def _command(self, effect):
        await self.pause()
        self.expire()
        result = effect()
        await self.pause()
        return result

    async def get(self, keys):
        found = []
        await self.pause()
        for key in keys:
            self.expire()
            found.append(self.kept.get(key))
            if self.turns.rng.random() < 0.1:  # not at once: not every store promises that
                await self.pause()
        await self.pause()
        return found

    def is_full(self):
        return self.refuses > 0 and self.turns.rng.random() < self.refuses

    def expire(self):
        for key in [key for key, end in self.ends.items() if end <= self.turns.now]:
            del self.ends[key]
            self.kept.pop(key, None)

    def put(self, key, value, span):
        self.kept[key], self.ends[key] = value, self.turns.now + span / self.seconds
        return True

    async def set(self, key, value, span):
        return await self._command(lambda: not self.is_full() and self.put(key, value, span))

    async def add(self, key, value, span):
        def effect():
            if self.is_full():
                raise OSError
            return key not in self.kept and self.put(key, value, span)

        return await self._command(effect)

    async def prolong(self, key, span):
        return await self._command(lambda: key in self.kept and self.put(key, self.kept[key], span))

    async def delete(self, key):
        await self._command(lambda: self.kept.pop(key, None))

    async def append(self, journal, known, texts, note):
        return await self._command(lambda: self.journals().journal(journal, known, texts, note))

    async def since(self, journal, known):
        return await self._command(lambda: self.journals().journal(journal, known, (), ''))

    def journals(self):
        return ModelJournals(self.kept, self.without)


@dataclass(frozen=True)
class Returned:
    """An invalidation that has returned, and what was written before it."""

    at: float
    by: object
    it: int
    version: int
    is_hard: bool


@dataclass
class World:
    """Some resources, and which of their versions may still be served to a request that begins now."""

    seed: int
    step: str | None
    kind: str = 'marks'
    fills: bool = False
    near: bool = False
    """Whether each process keeps copies of entries, and reads only what is beside them."""
    trusts: bool = False
    """Whether it trusts them for some time, without reading that."""
    restores: bool = False
    """Whether the store goes back to an old copy of itself at times. Then one process has seen all of it."""
    violations: int = 0
    served: int = 0
    late: int = 0
    """How many were served that are older than an invalidation that has returned, within the time of trust."""
    shared: int = 0
    runs: int = 0
    invalidations: int = 0

    def __post_init__(self):
        self.rng = random.Random(self.seed)
        self.turns = Turns(self.rng)
        refuses = self.rng.choice(REFUSES) if self.fills else 0
        without, seconds = LEFT_OUT_OF_JOURNALS.get(self.step, ''), self.rng.choice(SECONDS)
        there = seconds * self.rng.choice((0.5, 1, 1, 2))  # clocks differ
        self.shelf = SlowShelf(self.turns, refuses=refuses, without=without, seconds=there)
        self.seconds, self.trust = seconds, seconds * self.rng.choice(TRUSTED) if self.trusts else 0
        self.copy, self.flights, self.near_processes, self.returned = {}, {}, {}, []
        self.version = dict.fromkeys(range(RESOURCES), 0)
        self.oldest = dict.fromkeys(range(RESOURCES), 0)
        self.oldest_fresh = dict.fromkeys(range(RESOURCES), 0)
        self.windowed = {it: self.rng.random() < 0.5 for it in range(RESOURCES)}
        self.adds = {it: self.rng.random() < 0.5 for it in range(RESOURCES)}
        self.span = {it: self.rng.choice((600.0, 4000.0)) for it in range(RESOURCES)}
        self.begins_late = self.step == 'read the marks before the endpoint runs'
        count = 1 if self.restores else PROCESSES
        moments = Moments()
        self.new_ledger = (
            partial(MomentsLedger, moments) if self.kind == 'inside' else partial(classes[self.kind, self.step], 'api')
        )
        self.processes = [self.new_process() for _ in range(1 if self.kind == 'inside' else count)]
        if self.kind == 'marks':
            of_marks = classes['marks', self.step].__init__.__globals__
            of_marks['time'] = SimpleNamespace(monotonic=self.monotonic)
            of_marks['MAX_EARLY'] = self.rng.choice((0, 3, 32))
        journal_rules.MAX_TEXTS = self.rng.choice((2, 14)) if self.kind == 'journal' else journal_rules.MAX_TEXTS

    def monotonic(self):
        return self.turns.now * self.seconds

    def new_process(self):
        """What a process knows, by which the world tells it from others."""
        ledger = self.new_ledger()
        if self.near:
            near = partial(NearProcess, trust=self.trust, monotonic=self.monotonic, step=self.step)
            self.near_processes[ledger] = near(self.shelf, ledger)
        return ledger

    def names(self, it):
        return ('all', f'path:{it}')

    def names_at_the_end(self, it):
        return (*self.names(it), f'tag:{it}') if self.adds[it] else self.names(it)

    async def request(self):
        """A reader: a hit, or a run of the endpoint."""
        asked_at = self.turns.now
        it, marks = self.rng.randrange(RESOURCES), self.rng.choice(self.processes)
        all_returned, (oldest, oldest_fresh) = self.oldest_fresh[it], self.oldest_to_find(it, marks)
        if self.fills and self.rng.random() < 0.2:  # the store takes too long
            await self.lead_or_follow(it, marks, all_returned, asked_at)
            return
        entry, stale_at = await self.found(it, marks)
        is_fresh = stale_at == math.inf
        if stale_at is None or not (is_fresh or entry.windowed):
            await self.lead_or_follow(it, marks, all_returned, asked_at)
            return
        self.served += 1
        if entry.stored_at < (oldest_fresh if is_fresh else oldest):
            self.violations += 1
        elif is_fresh and entry.stored_at < all_returned:
            self.late += 1

    def oldest_to_find(self, it, marks):
        """The oldest versions that a request that begins now may find, if the entry is stale, and if it is fresh."""
        if not self.trust:
            return self.oldest[it], self.oldest_fresh[it]
        until = self.monotonic() - self.trust
        told = [done for done in self.returned if done.it == it and (done.by is marks or done.at < until)]
        return max((done.version for done in told if done.is_hard), default=0), max(
            (done.version for done in told), default=0
        )

    async def found(self, it, marks):
        """An entry, and since when it is stale: None if it is not alive, infinity if it is fresh."""
        if self.near:
            found = await self.near_processes[marks].found(f'entry:{it}')
            return (None, None) if found is None else (found.entry, found.stale_at)
        with suppress(ConnectionError):  # of a journal that does not keep its rules
            entry, *beside = await self.shelf.get((f'entry:{it}', *marks.beside))
            seen = await marks.see(self.shelf, beside)
            return entry, await marks.stale_at(self.shelf, entry, seen) if entry is not None else None
        return None, None

    async def lead_or_follow(self, it, marks, oldest, asked_at):
        """A miss: it gets the response of a run that is under way in its process, if that may be shared.

        If nobody can tell whether it was invalidated, it is for those who asked before the run began.
        """
        if (it, marks) not in self.flights:
            await self.run(it, marks)
            return
        version, is_alive, began_at = await self.flights[it, marks]
        if not (is_alive or asked_at < began_at or self.step == ASKED_BEFORE):
            return
        self.shared += 1
        if version < oldest:
            self.violations += 1

    async def run(self, it, marks):
        """The endpoint: it reads the data at some moment between its begin and its end."""
        flight = self.flights[it, marks] = asyncio.get_running_loop().create_future()
        self.runs += 1
        windowed, early = self.windowed[it], None
        if not self.begins_late:
            early = await self.begin(it, marks, windowed=windowed)
        began_at = self.turns.now
        await self.shelf.pause()
        version = self.version[it]
        await self.shelf.pause()
        begun = await self.begin(it, marks, windowed=windowed) if self.begins_late else early
        if self.flights.get((it, marks)) is flight:  # from now on nobody joins
            del self.flights[it, marks]
        names, held = self.names_at_the_end(it), None
        with suppress(OSError):
            after = partial(marks.marks_after, key=f'entry:{it}', windowed=windowed, span=self.span[it])
            held = None if begun is None else await after(self.shelf, begun, names)
        flight.set_result((version, held is not None, began_at))
        if held is not None:
            window = 60.0 if windowed else 0.0
            entry = Entry(
                f'entry:{it}',
                200,
                (),
                b'',
                version,
                self.span[it],
                stale_while_revalidate=window,
                windowed=windowed,
                names=names,
                marks=held,
            )
            put = self.near_processes[marks].put if self.near else partial(self.shelf.set, entry.key)
            await put(entry, self.span[it])

    async def begin(self, it, marks, *, windowed):
        with suppress(OSError):
            return await marks.marks_before(self.shelf, self.names(it), key=f'entry:{it}', windowed=windowed)
        return None

    async def write(self):
        """A writer: it changes the data, and then invalidates, by one of several names."""
        it, marks = self.rng.randrange(RESOURCES), self.rng.choice(self.processes)
        name = self.rng.choice((*self.names_at_the_end(it), key_name(f'entry:{it}')))  # which entries do not list
        for changed in self.version if name == 'all' else (it,):
            self.version[changed] += 1
        soft_at = 1.0 + self.seed if self.rng.random() < 0.3 else None
        await self.shelf.pause()
        written = dict(self.version)
        await marks.invalidate(self.shelf, [name], soft_at)
        if self.near:
            self.near_processes[marks].note_invalidation()
        self.invalidations += 1
        for changed in self.version if name == 'all' else (it,):
            is_hard = soft_at is None or not self.windowed[changed]
            self.returned.append(Returned(self.monotonic(), marks, changed, written[changed], is_hard))
            self.oldest_fresh[changed] = max(self.oldest_fresh[changed], written[changed])
            if is_hard:
                self.oldest[changed] = max(self.oldest[changed], written[changed])

    async def lose(self):
        """A store that forgets one key, or all: the marks and `last` too."""
        await self.shelf.pause()
        kept = self.shelf.kept
        of_journals = [key for key in kept if 'journal' in key]
        if self.rng.random() < 0.1:
            kept.clear()
        elif kept:
            del kept[self.rng.choice(of_journals if self.rng.random() < 0.7 and of_journals else sorted(kept))]

    async def start_anew(self):
        """A process that ends, and another one in its place."""
        self.processes[self.rng.randrange(len(self.processes))] = self.new_process()

    async def restore(self):
        """A store that is copied, or that goes back to the last copy."""
        await self.shelf.pause()
        kept = self.shelf.kept
        if self.copy and self.rng.random() < 0.5:
            kept.clear()
            kept.update(self.copy)
        else:
            self.copy = dict(kept)

    async def live(self):
        async def one():
            await self.turns.pause(self.rng.randrange(SPAN))
            losses = [self.restore] * 3 if self.restores else [self.lose, self.start_anew]
            await self.rng.choice([self.request] * 20 + [self.write] * 4 + losses)()

        await self.turns.run([one() for _ in range(ACTORS)])
        for _ in range(4):  # and when all is quiet
            await self.turns.run([self.request()])


def simulate(schedules, step=None, *, kind='marks', first_only=False, **options):
    """Live through so many schedules; gives them."""
    worlds = []
    runners = asyncio.Runner() if hasattr(asyncio, 'Runner') else _OldRunner()
    with runners as runner, small_journals() if kind == 'journal' else nullcontext():
        for seed in range(schedules):
            worlds.append(World(seed, step, kind, **options))
            runner.run(worlds[-1].live())
            if first_only and worlds[-1].violations:
                break
    return worlds


class _OldRunner:
    """What Python 3.10 has in place of `asyncio.Runner`."""

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        return self

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def __exit__(self, *_):
        self.loop.close()


KINDS = {
    'marks': {},
    'marks, full at times': {'fills': True},
    'moments of one process': {'kind': 'inside'},
    'journals': {'kind': 'journal'},
    'journals, full at times': {'kind': 'journal', 'fills': True},
    'journals, restored from copies': {'kind': 'journal', 'restores': True},
    'marks, near copies': {'near': True},
    'journals, near copies': {'kind': 'journal', 'near': True},
    'marks, trusted near copies': {'near': True, 'trusts': True},
    'journals, trusted near copies': {'kind': 'journal', 'near': True, 'trusts': True},
}
STEPS = {
    'marks': LEFT_OUT,
    'marks, full at times': LEFT_OUT_WHERE_FULL,
    'journals': dict.fromkeys(it for it in LEFT_OUT_WITH_JOURNALS if it not in (*RESTORED, SHARED, ASKED_BEFORE)),
    'journals, full at times': dict.fromkeys([SHARED, ASKED_BEFORE]),
    'journals, restored from copies': dict.fromkeys(RESTORED),
    'marks, trusted near copies': {**LEFT_OUT_OF_COPIES, **LEFT_OUT_OF_COPIES_WITH_MARKS},
    'journals, trusted near copies': {**LEFT_OUT_OF_COPIES, **LEFT_OUT_OF_COPIES_WITH_JOURNALS},
}


def main(schedules):
    for kind, options in KINDS.items():
        worlds = simulate(schedules, **options)
        counts = {of: sum(getattr(it, of) for it in worlds) for of in COUNTS}
        print(f'{kind}: {schedules} schedules,', ', '.join(f'{count} {of}' for of, count in counts.items()))
    for kind, steps in STEPS.items():
        for step in steps:
            found = sum(it.violations > 0 for it in simulate(schedules, step, **KINDS[kind]))
            print(f'{kind}, without "{step}": violations in {found} schedules')


if __name__ == '__main__':
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
