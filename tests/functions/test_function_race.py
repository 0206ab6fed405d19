"""A function and invalidations at once: no result from before an invalidation is returned after it."""

import asyncio
import random
import time

import pytest

WRITES, HITS, KEYS, MAX_SECONDS = 60, 60, 3, 60


@pytest.mark.parametrize('kind', ['memory', 'lmdb', 'redis'], indirect=True)
async def test_no_result_is_older_than_an_invalidation_that_has_returned(new_store):
    caches, values = [new_store(), new_store()], dict.fromkeys(range(KEYS), 0)
    seen, older = 0, []

    def loader(cache):
        @cache.function(ttl=60, stale_while_revalidate=60, tags=['key:{key}'], namespace='race', key=lambda key: key)
        async def load(key: int) -> int:
            value = values[key]
            await asyncio.sleep(random.uniform(0, 0.003))
            return value

        return load

    functions = [loader(it) for it in caches]
    until, writes = time.monotonic() + MAX_SECONDS, 0

    def goes_on():
        hits = sum(it.stats().total.hits for it in caches)
        return time.monotonic() < until and (writes < WRITES or hits < HITS)

    async def read(function):
        nonlocal seen
        while goes_on():
            key = random.randrange(KEYS)
            least = invalidated[key]
            found = await function(key)
            seen += 1
            if found < least:
                older.append((key, found, least))
            await asyncio.sleep(random.uniform(0, 0.002))

    async def write(key):
        nonlocal writes
        while goes_on():
            values[key] += 1
            current = values[key]
            if random.random() < 0.5:
                await random.choice(functions).invalidate(key)
            else:
                await random.choice(caches).invalidate_tags(f'key:{key}')
            invalidated[key] = current
            writes += 1
            await asyncio.sleep(random.uniform(0, 0.05))

    invalidated = dict.fromkeys(range(KEYS), 0)
    async with caches[0], caches[1]:
        await asyncio.gather(*(read(it) for it in functions * 4), *map(write, range(KEYS)))
    assert older == []
    assert seen >= HITS
    assert writes >= WRITES
    assert sum(it.stats().total.hits for it in caches) >= HITS
