"""Random herds: requests, invalidations, ends of lifetimes, failures, cancellations in random order, again and again.

python -m tests.stress 3000     that many schedules; prints what has happened, and every violation

Each request must end, with a response that the endpoint could have given without a cache at a moment between its start
and its end, or with what is stale and inside of its window; and nothing may be left behind.
"""

import asyncio
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.responses import JSONResponse, StreamingResponse

from fastapi_caching_route import FastAPICache, MemoryCache
from tests.backends.fakes import Elsewhere
from tests.simulation import Turns
from tests.support import Clock, asgi_call, asgi_scope, caching_router

REQUESTS = 30
WRITES = 3
KEYS = 2


class Wild(Elsewhere):
    """A backend that answers some turns later."""

    def __init__(self, turns, **options):
        super().__init__(**options)
        self.turns = turns

    async def _command(self, name, effect):
        await self.turns.pause()
        found = effect()
        await self.turns.pause()
        return found


@dataclass
class World:
    """One schedule, from its seed."""

    seed: int
    seen: Counter = field(default_factory=Counter)
    violations: list = field(default_factory=list)

    def __post_init__(self):
        self.dice = random.Random(self.seed)
        self.turns = Turns(self.dice)
        self.clock = Clock()
        backend = Wild(self.turns) if self.seed % 2 else MemoryCache(clock=self.clock)
        self.cache = FastAPICache(backend, store_timeout=30, clock=self.clock)
        self.version = [0] * KEYS
        self.invalidated = [0] * KEYS
        """Per key: the version whose invalidation has returned."""
        self.app = FastAPI()
        window = self.dice.choice([{}, {'stale_while_revalidate': 50}, {'stale_if_error': 50}])
        timeout = {'endpoint_timeout': 0.0005} if 'stale_if_error' in window and self.dice.random() < 0.3 else {}
        eager = {'eager_refresh': 0.5} if self.dice.random() < 0.3 else {}
        self.wild = self.dice.random() < 0.5
        router = caching_router()
        self.fails = self.dice.choice([0.0, 0.2, 0.6])
        self.secret = self.dice.choice([0.0, 0.3])

        async def guard(x_user: Annotated[str, Header()] = 'ann'):
            await self.turns.pause()
            if x_user == 'mallory':
                raise HTTPException(403)

        @router.api_route('/{key}', methods=['GET', 'HEAD'], dependencies=[Depends(guard)])
        @self.cache(ttl=10, tags=['{key}'], identity='shared', **window, **timeout, **eager)
        async def endpoint(key: int):
            self.seen['runs'] += 1
            version = self.version[key]
            await self.turns.pause()
            luck = self.dice.random()
            if luck < self.fails:
                self.seen['failures'] += 1
                if luck < self.fails / 2:
                    raise RuntimeError('broken')
                return JSONResponse('broken', 503)
            await self.turns.pause()
            headers = {'cache-control': 'no-store'} if self.dice.random() < self.secret else {}
            if not self.wild:
                return JSONResponse([key, version], headers=headers)

            async def chunks():
                yield f'[{key},'.encode()
                await self.turns.pause()
                yield f'{version}]'.encode()

            return StreamingResponse(chunks(), headers=headers)

        self.app.include_router(router)

    async def request(self):
        await self.turns.pause(self.dice.randrange(60))
        key = self.dice.randrange(KEYS)
        user = 'mallory' if self.dice.random() < 0.15 else 'ann'
        method = 'HEAD' if self.dice.random() < 0.1 else 'GET'
        headers = [(b'x-user', user.encode())]
        if self.dice.random() < 0.1:
            headers.append((b'range', b'bytes=0-'))
        oldest = self.invalidated[key]
        asking = asyncio.ensure_future(asgi_call(self.app, asgi_scope(method, f'/{key}', headers=headers)))
        if self.dice.random() < 0.15:
            await self.turns.pause(self.dice.randrange(20))
            asking.cancel()
        try:
            start, *rest = await asking
        except asyncio.CancelledError:
            self.seen['cancelled'] += 1
            return
        except RuntimeError:
            self.seen['exceptions'] += 1
            return
        body = b''.join(it.get('body', b'') for it in rest)
        fields = dict(start['headers'])
        said = fields.get(b'cache-status', b'').decode()
        kinds = ('collapsed', 'stale-if-error', 'endpoint-timeout', 'hit', 'fwd')
        kind = next((it for it in kinds if it in said), 'none')
        self.seen[kind] += 1
        if user == 'mallory':
            if start['status'] != 403:
                self.violations.append(f'{self.seed}: mallory was let in: {said}')
        elif start['status'] == 503:
            self.seen['503'] += 1
        elif method == 'GET':
            got_key, version = (int(it) for it in body.strip(b'[]').split(b','))
            if got_key != key or not oldest <= version <= self.version[key]:
                self.violations.append(f'{self.seed}: {version} not from {oldest} to {self.version[key]}: {said}')

    async def write(self):
        await self.turns.pause(self.dice.randrange(60))
        key = self.dice.randrange(KEYS)
        self.version[key] += 1
        version = self.version[key]
        await self.turns.pause()
        if self.dice.random() < 0.5:
            await self.cache.invalidate_tags(str(key))
        else:
            await self.cache.invalidate_path(f'/{key}')
        self.invalidated[key] = max(self.invalidated[key], version)

    async def pass_time(self):
        for _ in range(4):
            await self.turns.pause(self.dice.randrange(25))
            self.clock.now += self.dice.choice([1, 6, 11, 40])

    async def live(self):
        before = asyncio.all_tasks()
        actors = [
            *(self.request() for _ in range(REQUESTS)),
            *(self.write() for _ in range(WRITES)),
            self.pass_time(),
        ]
        running = asyncio.ensure_future(self.turns.run(actors))
        _, late = await asyncio.wait((running,), timeout=100)
        if late:
            self.violations.append(f'{self.seed}: a request does not end')
            return
        await running
        closing = asyncio.ensure_future(self.turns.run([self.cache._settings.store.close()]))
        await asyncio.wait((closing,), timeout=100)
        if len(self.cache._settings.runtime.flights):
            self.violations.append(f'{self.seed}: a flight is left')
        left = asyncio.all_tasks() - before
        if left:
            self.violations.append(f'{self.seed}: tasks are left: {left}')


def stress(seeds):
    """What has happened in these schedules, and what should not have."""
    seen, violations = Counter(), []

    async def all_of_them():
        for seed in seeds:
            world = World(seed)
            await world.live()
            seen.update(world.seen)
            violations.extend(world.violations)

    asyncio.run(all_of_them())
    return seen, violations


if __name__ == '__main__':
    import logging

    logging.disable()
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    happened, wrong = stress(range(count))
    print(f'{count} schedules: {dict(happened)}')
    print(f'{len(wrong)} violations', *wrong[:20], sep='\n')
