"""Seeded random schedules of everything that touches marks, held against one rule.

*An answer computed from data older than an invalidation that has returned is never served after it.*

The code under test is the real one; only the store is a dict, in which each command takes effect some time after it was
given and some time before its reply comes. `python -m tests.simulation [schedules]` says what it finds, also for the
algorithm with one step left out.
"""

import asyncio
import heapq
import math
import random
import sys
import types
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import fastapi_caching_route._store.marks as real
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._store.moments import Moments, MomentsLedger

SOURCE = Path(real.__file__).read_text()
PAUSES = (0, 0, 1, 1, 2, 3, 5, 8, 40)
"""Turns that a command takes, or an endpoint."""

RESOURCES, PROCESSES, ACTORS, SPAN = 2, 2, 60, 400
REFUSES = (0.2, 0.6)

# A step of the algorithm, what stands there, and what stands there when it is left out.
LEFT_OUT = {
    'the new mark': (
        (
            '        for batch in _batches(keys):\n'
            '            await asyncio.gather(*(_renew(store, key, when) for key in batch))\n'
        ),
        '',
    ),
    '`last` before the marks': (
        'will see that it has begun.\n        await _renew(store, self.beside[0])\n',
        '\n',
    ),
    '`last` after the marks': (
        'will look again.\n        await _renew(store, self.beside[0])\n',
        '\n',
    ),
    'a missing mark is a miss': (
        '    if list(held) == tokens:',
        '    if all(token in (None, mine) for token, mine in zip(tokens, held)):',
    ),
    'compare `last` on a hit': ('if last and known_last == last and marks', 'if last and marks'),
    'compare the marks of what was found alive': (' and marks == entry.marks:', ':'),
    'take the `last` from before the marks were read': (
        '        if stale_at is not None and last:\n',
        '        last = (await store.get(self.beside))[0] or ""\n        if stale_at is not None and last:\n',
    ),
    'compare `last` where names were added': ('(added or await', '(await'),
    'read `last` after the marks that were added': (
        '        if added:\n            found',
        '        (early,) = await store.get(self.beside)\n        if added:\n            found',
        '        (last,) = await store.get(self.beside)\n',
        '        last = early\n',
    ),
    'a hard invalidation writes the soft mark too': (
        '(_SOFT, _HARD) if soft_at is None',
        '(_HARD,) if soft_at is None',
    ),
    'a hard invalidation writes the hard mark': ('(_SOFT, _HARD) if soft_at is None', '(_SOFT,) if soft_at is None'),
    'the hard mark is looked at where entries may be stale': (
        'if not entry.windowed or tokens[count:] != list(held[count:]):',
        'if not entry.windowed:',
        'return min(moments) if',
        'return min(moments, default=math.inf) if',
    ),
    'a soft mark turns entries stale': (
        '    return min(moments) if all(moment > 0 for moment in moments) else None',
        '    return math.inf',
    ),
    'read the marks before the endpoint runs': (),
}

# The same for a store that is full at times.
LEFT_OUT_WHERE_FULL = {
    'delete a mark that cannot be written': ('        await store.delete(key)\n', '        pass\n'),
    'delete `last` after the marks': (
        'will look again.\n        await _renew(store, self.beside[0])\n',
        'will look again.\n        await store.set(self.beside[0], token_urlsafe(9), FOREVER)\n',
    ),
    'remember nothing without `last`': (
        'if stale_at is not None and last:',
        'if stale_at is not None:',
        'if last and known_last',
        'if known_last',
    ),
}


def marks_class(step=None):
    """`Marks` with a step left out, or whole."""
    source, changes = SOURCE, {**LEFT_OUT, **LEFT_OUT_WHERE_FULL}.get(step, ())
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert source.count(old) == 1, f'{step}: its text is there {source.count(old)} times'
        source = source.replace(old, new)
    module = types.ModuleType('marks_under_test')
    sys.modules['marks_under_test'] = module
    exec(compile(source, 'marks_under_test', 'exec'), module.__dict__)  # noqa: S102, our own source
    return module.Marks


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

    async def pause(self):
        await self.turns.pause()

    async def _command(self, effect):
        await self.pause()
        result = effect()
        await self.pause()
        return result

    async def get(self, keys):
        found = []
        await self.pause()
        for key in keys:
            found.append(self.kept.get(key))
            if self.turns.rng.random() < 0.1:  # not at once: not every store promises that
                await self.pause()
        await self.pause()
        return found

    def is_full(self):
        return self.refuses > 0 and self.turns.rng.random() < self.refuses

    async def set(self, key, value, span):
        return await self._command(lambda: not self.is_full() and (self.kept.update({key: value}) or True))

    async def add(self, key, value, span):
        def effect():
            if self.is_full():
                raise OSError
            return self.kept.setdefault(key, value) is value

        return await self._command(effect)

    async def delete(self, key):
        await self._command(lambda: self.kept.pop(key, None))


@dataclass
class World:
    """Some resources, and which of their versions may still be served to a request that begins now."""

    seed: int
    step: str | None
    inside: bool = False
    fills: bool = False
    violations: int = 0
    served: int = 0
    runs: int = 0
    invalidations: int = 0

    def __post_init__(self):
        self.rng = random.Random(self.seed)
        self.turns = Turns(self.rng)
        self.shelf = SlowShelf(self.turns, refuses=self.rng.choice(REFUSES) if self.fills else 0)
        self.version = dict.fromkeys(range(RESOURCES), 0)
        self.oldest = dict.fromkeys(range(RESOURCES), 0)
        self.oldest_fresh = dict.fromkeys(range(RESOURCES), 0)
        self.windowed = {it: self.rng.random() < 0.5 for it in range(RESOURCES)}
        self.adds = {it: self.rng.random() < 0.5 for it in range(RESOURCES)}
        self.begins_late = self.step == 'read the marks before the endpoint runs'
        self.processes = (
            [MomentsLedger(Moments())] if self.inside else [marks_class(self.step)('api') for _ in range(PROCESSES)]
        )

    def names(self, it):
        return ('all', f'path:{it}')

    def names_at_the_end(self, it):
        return (*self.names(it), f'tag:{it}') if self.adds[it] else self.names(it)

    async def request(self):
        """A reader: a hit, or a run of the endpoint."""
        it, marks = self.rng.randrange(RESOURCES), self.rng.choice(self.processes)
        oldest, oldest_fresh = self.oldest[it], self.oldest_fresh[it]
        entry, *beside = await self.shelf.get((f'entry:{it}', *marks.beside))
        stale_at = await marks.stale_at(self.shelf, entry, beside) if entry is not None else None
        is_fresh = stale_at == math.inf
        if stale_at is None or not (is_fresh or entry.windowed):
            await self.run(it, marks)
            return
        self.served += 1
        if entry.stored_at < (oldest_fresh if is_fresh else oldest):
            self.violations += 1

    async def run(self, it, marks):
        """The endpoint: it reads the data at some moment between its begin and its end."""
        self.runs += 1
        windowed, early = self.windowed[it], None
        if not self.begins_late:
            early = await self.begin(it, marks, windowed=windowed)
        await self.shelf.pause()
        version = self.version[it]
        await self.shelf.pause()
        begun = await self.begin(it, marks, windowed=windowed) if self.begins_late else early
        names, held = self.names_at_the_end(it), None
        with suppress(OSError):
            held = None if begun is None else await marks.marks_after(self.shelf, begun, names, windowed=windowed)
        if held is not None:
            window = 60.0 if windowed else 0.0
            entry = Entry(
                f'entry:{it}',
                200,
                (),
                b'',
                version,
                60.0,
                stale_while_revalidate=window,
                windowed=windowed,
                names=names,
                marks=held,
            )
            await self.shelf.set(entry.key, entry, 60.0)

    async def begin(self, it, marks, *, windowed):
        with suppress(OSError):
            return await marks.marks_before(self.shelf, self.names(it), windowed=windowed)
        return None

    async def write(self):
        """A writer: it changes the data, and then invalidates, by one of several names."""
        it, marks = self.rng.randrange(RESOURCES), self.rng.choice(self.processes)
        name = self.rng.choice(self.names_at_the_end(it))
        for changed in self.version if name == 'all' else (it,):
            self.version[changed] += 1
        soft_at = 1.0 + self.seed if self.rng.random() < 0.3 else None
        await self.shelf.pause()
        written = dict(self.version)
        await marks.invalidate(self.shelf, [name], soft_at)
        self.invalidations += 1
        for changed in self.version if name == 'all' else (it,):
            self.oldest_fresh[changed] = max(self.oldest_fresh[changed], written[changed])
            if soft_at is None or not self.windowed[changed]:
                self.oldest[changed] = max(self.oldest[changed], written[changed])

    async def lose(self):
        """A store that forgets one key, or all: the marks and `last` too."""
        await self.shelf.pause()
        kept = self.shelf.kept
        if self.rng.random() < 0.1:
            kept.clear()
        elif kept:
            del kept[self.rng.choice(sorted(kept))]

    async def live(self):
        async def one():
            await self.turns.pause(self.rng.randrange(SPAN))
            await self.rng.choice([self.request] * 20 + [self.write] * 4 + [self.lose])()

        await self.turns.run([one() for _ in range(ACTORS)])
        for _ in range(4):  # and when all is quiet
            await self.turns.run([self.request()])


def simulate(schedules, step=None, *, inside=False, fills=False, first_only=False):
    """Live through so many schedules; gives them."""
    worlds = []
    with asyncio.Runner() if hasattr(asyncio, 'Runner') else _OldRunner() as runner:
        for seed in range(schedules):
            worlds.append(World(seed, step, inside, fills))
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


def main(schedules):
    whole = simulate(schedules)
    counts = [sum(getattr(it, of) for it in whole) for of in ('invalidations', 'runs', 'served', 'violations')]
    print('{} schedules: {} invalidations, {} runs, {} answers from entries, {} violations'.format(schedules, *counts))
    inside = simulate(schedules, inside=True)
    print(
        f'inside of one process: {sum(it.served for it in inside)} answers,'
        f' {sum(it.violations for it in inside)} violations'
    )
    full = simulate(schedules, fills=True)
    print(f'full at times: {sum(it.served for it in full)} answers, {sum(it.violations for it in full)} violations')
    for step in (*LEFT_OUT, *LEFT_OUT_WHERE_FULL):
        found = sum(it.violations > 0 for it in simulate(schedules, step, fills=step in LEFT_OUT_WHERE_FULL))
        print(f'without "{step}": violations in {found} schedules')


if __name__ == '__main__':
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
