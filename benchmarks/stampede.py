"""200 clients that want the same thing at once, over uvicorn: how often the endpoint runs, and how long they wait.

uv run python benchmarks/stampede.py            the table
uv run python benchmarks/stampede.py lock       two workers with a lock on Redis, and its owner killed
"""

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.faults import Stage
from tests.servers import free_port, listens, wait_until

CLIENTS = 200
PAUSE = 0.2
"""Seconds between two requests of a client."""

APP = """
import asyncio, os, pathlib
from aiocache import RedisCache
from fastapi import APIRouter, FastAPI
from fastapi_caching_route import CachingRoute, FastAPICache

REDIS = int(os.environ.get('REDIS', 0))
RUNS = pathlib.Path(os.environ['RUNS'])
cache = FastAPICache(RedisCache(endpoint='127.0.0.1', port=REDIS) if REDIS else None)
router = APIRouter(route_class=CachingRoute)

async def work(seconds):
    with RUNS.open('a') as runs:
        runs.write(f'{os.getpid()}\\n')
    await asyncio.sleep(seconds)
    return {'text': 'x' * 200}

@router.get('/cold')
@cache(ttl=60)
async def cold():
    return await work(0.1)

@router.get('/ending')
@cache(ttl=1, stale_while_revalidate=30)
async def ending():
    return await work(0.1)

@router.get('/ending-hard')
@cache(ttl=1)
async def ending_hard():
    return await work(0.1)

@router.get('/apart')
@cache(ttl=60, collapse=False)
async def apart():
    return await work(0.1)

@router.get('/locked')
@cache(ttl=60, lock=True)
async def locked():
    return await work(0.1)

@router.get('/slow')
@cache(ttl=60, lock=True, collapse_timeout=4)
async def slow():
    return await work(1)

@router.get('/pid')
async def pid():
    return os.getpid()

app = FastAPI(lifespan=cache.lifespan)
app.include_router(router)
"""


class Client:
    """One connection, which asks one thing after the other."""

    async def connect(self, port: int) -> None:
        self.reader, self.writer = await asyncio.open_connection('127.0.0.1', port)

    async def ask(self, path: str) -> tuple[int, float]:
        began = time.perf_counter()
        self.writer.write(f'GET {path} HTTP/1.1\r\nHost: test\r\n\r\n'.encode())
        head = await self.reader.readuntil(b'\r\n\r\n')
        length = int(head.lower().split(b'content-length: ')[1].split(b'\r\n')[0])
        await self.reader.readexactly(length)
        return int(head.split()[1]), time.perf_counter() - began


async def clients_of(port: int, count: int = CLIENTS) -> list[Client]:
    clients = [Client() for _ in range(count)]
    for client in clients:
        await client.connect(port)
    return clients


class Served:
    """The app above in uvicorn."""

    def __init__(self, folder: Path, redis: int, *options: str) -> None:
        (folder / 'app.py').write_text(APP)
        self.port, self.runs = free_port(), folder / 'runs'
        environment = {**os.environ, 'REDIS': str(redis), 'RUNS': str(self.runs)}
        command = [
            sys.executable,
            '-m',
            'uvicorn',
            'app:app',
            '--port',
            str(self.port),
            '--log-level',
            'error',
            *options,
        ]
        self.process = subprocess.Popen(command, cwd=folder, env=environment)
        wait_until(lambda: listens(self.port))

    def count(self) -> int:
        return len(self.runs.read_text().splitlines()) if self.runs.exists() else 0

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()


def told(name: str, runs: int, took: float, answers: list) -> None:
    times = sorted(seconds for status, seconds in answers if status == 200)
    errors = len(answers) - len(times)
    p99 = times[int(len(times) * 0.99) - 1] * 1000
    print(
        f'{name:46} {runs:4} runs  {took:6.2f} s  {len(answers):6} answers'
        f'  median {statistics.median(times) * 1000:6.1f} ms'
        f'  p99 {p99:6.1f} ms  errors {errors}',
        flush=True,
    )


async def at_once(served: Served, name: str, path: str, clients: list[Client]) -> None:
    before, began = served.count(), time.perf_counter()
    answers = await asyncio.gather(*(client.ask(path) for client in clients), return_exceptions=True)
    took = time.perf_counter() - began
    told(name, served.count() - before, took, [it if isinstance(it, tuple) else (0, 0.0) for it in answers])


async def for_a_while(served: Served, name: str, path: str, clients: list[Client], seconds: float = 5) -> None:
    before, began, answers = served.count(), time.perf_counter(), []

    async def go_on(client: Client) -> None:
        while time.perf_counter() - began < seconds:
            answers.append(await client.ask(path))
            await asyncio.sleep(PAUSE)

    await asyncio.gather(*(client.ask(path) for client in clients))
    await asyncio.gather(*map(go_on, clients))
    told(name, served.count() - before, time.perf_counter() - began, answers)


async def table(folder: Path) -> None:
    stage = Stage('redis')
    await stage.start()
    for store, redis in (('memory', 0), ('Redis', stage.port)):
        served = Served(folder, redis)
        clients = await clients_of(served.port)
        await asyncio.gather(*(client.ask('/pid') for client in clients))
        await at_once(served, f'{store}: cold, collapse=False', '/apart', clients)
        await at_once(served, f'{store}: cold', '/cold', clients)
        await for_a_while(served, f'{store}: hits only', '/cold', clients)
        await for_a_while(served, f'{store}: ends each second', '/ending-hard', clients)
        await for_a_while(served, f'{store}: ends, stale-while-revalidate', '/ending', clients)
        served.end()
        (folder / 'runs').unlink()
    stage.kill()


async def lock(folder: Path) -> None:
    stage = Stage('redis')
    await stage.start()
    served = Served(folder, stage.port, '--workers', '2')
    await asyncio.sleep(2)
    clients = await clients_of(served.port)
    pids = [await client.ask('/pid') for client in clients]
    assert len(pids) == CLIENTS
    await at_once(served, 'two workers, lock=True, cold', '/locked', clients)
    before, began = served.count(), time.perf_counter()
    asking = [asyncio.ensure_future(client.ask('/slow')) for client in clients]
    await asyncio.to_thread(wait_until, lambda: served.count() > before)
    await asyncio.sleep(0.3)
    os.kill(int(served.runs.read_text().splitlines()[-1]), signal.SIGKILL)
    ends = await asyncio.gather(*asking, return_exceptions=True)
    first = [it for it in ends if isinstance(it, tuple)]
    gone = len(ends) - len(first)
    again = await clients_of(served.port, gone)
    retried = await asyncio.gather(*(client.ask('/slow') for client in again))
    took = time.perf_counter() - began
    told(
        f'owner killed in mid-run ({gone} of its clients ask again)', served.count() - before, took, [*first, *retried]
    )
    served.end()
    stage.kill()


if __name__ == '__main__':
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        asyncio.run(lock(Path(place)) if 'lock' in sys.argv else table(Path(place)))
