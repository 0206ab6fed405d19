"""Tasks that hold one lock, in a process of their own: `python holders.py URL FILE TASKS`."""

import asyncio
import random
import sys
import time
from itertools import pairwise
from pathlib import Path

from fastapi_caching_route import FastAPICache


def overlaps(file: Path) -> tuple[int, int]:
    """How often the lock was held, and how often by two at a time."""
    spans = sorted(tuple(map(float, line.split())) for line in file.read_text().splitlines())
    return len(spans), sum(later[0] < earlier[1] for earlier, later in pairwise(spans))


async def hold(cache: FastAPICache, file: Path) -> None:
    async with cache.lock('report', timeout=60, lease=30):
        began_at = time.monotonic()  # one clock for all processes of a machine
        await asyncio.sleep(random.uniform(0, 0.01))
        with file.open('a') as spans:
            spans.write(f'{began_at!r} {time.monotonic()!r}\n')


async def main(url: str, file: str, tasks: str) -> None:
    cache = FastAPICache.from_url(url, store_timeout=5)
    async with cache:
        await asyncio.gather(*(hold(cache, Path(file)) for _ in range(int(tasks))))


if __name__ == '__main__':
    asyncio.run(main(*sys.argv[1:]))
