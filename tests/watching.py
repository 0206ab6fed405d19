"""Two workers on a Redis that is killed and started again, under load; and pictures of the console at these moments.

python -m tests.watching FOLDER [SECONDS]     writes the pictures: wide and dark, while Redis is down, and narrow
"""

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.servers import ROOT, free_port, listens, real_server, wait_until

WORKERS = ('uvicorn', 'tests.watched_app:app', '--workers', '2', '--port', '{}', '--log-level', 'critical')
CLIENTS = 8


def outcome_of(response: httpx.Response) -> str:
    said = response.headers['cache-status']
    names = {
        '; hit': 'hit',
        '; collapsed': 'collapsed',
        'fwd=bypass': 'bypass',
        'fwd=uri-miss': 'miss',
        'fwd=stale': 'miss',
    }
    return next(name for text, name in names.items() if text in said)


async def loaded(url: str, seconds: float, counted: Counter[str]) -> None:
    """Ask all the time, and count what the responses say themselves."""
    until = time.monotonic() + seconds

    async def ask() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:
            while time.monotonic() < until:
                path = random.choice(['/skipped', *(f'/items/{number}' for number in range(20))])
                counted[outcome_of(await client.get(path))] += 1
                if random.random() < 0.1:
                    await client.get('/skipped', headers={'connection': 'close'})  # to reach the other worker, too
                    counted['bypass'] += 1

    await asyncio.gather(*(ask() for _ in range(CLIENTS)))


@contextmanager
def redis_at(port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A Redis in a process of its own."""
    command = ['redis-server', '--port', str(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder)  # noqa: S603, our own command
    try:
        wait_until(lambda: listens(port))
        yield server
    finally:
        server.terminate()
        server.wait(timeout=20)


def main(folder: Path, seconds: float = 12.0) -> None:
    """Write the pictures."""
    from tests.browser import chromium  # noqa: PLC0415, the test of the numbers needs none

    port, counted = free_port(), Counter[str]()
    os.environ['FASTAPI_CACHE_URL'] = f'redis://127.0.0.1:{port}/0?namespace=watched'
    with tempfile.TemporaryDirectory() as place, chromium() as browser, redis_at(port, Path(place)) as redis:
        os.environ['PROMETHEUS_MULTIPROC_DIR'] = place
        with real_server(WORKERS, cwd=ROOT) as served:
            url = f'http://127.0.0.1:{served}'

            def picture(name: str, width: int, height: int, *, dark: bool, said: str) -> None:
                browser.shown_as(width, height, dark=dark)
                browser.driver.get('about:blank')
                browser.driver.get(f'{url}/cache/')
                browser.says('#live', 'live')
                asyncio.run(loaded(url, seconds, counted))  # until both workers have published
                browser.says('main', said)
                browser.picture(folder / f'{name}.png')
                print(f'{name}: {counted.total()} responses so far, {dict(counted)}')

            picture('console', 1280, 860, dark=True, said='up')
            redis.kill()
            redis.wait()
            picture('console-outage', 1280, 860, dark=False, said='The store has been failing')
            with redis_at(port, Path(place)):
                picture('console-narrow', 390, 844, dark=False, said='up')


if __name__ == '__main__':
    main(Path(sys.argv[1]), *map(float, sys.argv[2:]))
