"""Two servers on one store: a write in one is never followed by an older read in the other.

With near copies that are trusted for some seconds, it is not after that time, and never in the server of the write.

uv run python -m tests.race redis 5000                              rounds of writes and reads, and what they saw
uv run python -m tests.race lmdb 5000
uv run python -m tests.race redis 5000 '' 0                         with near copies, which are trusted for 0 seconds
uv run python -m tests.race redis 5000 '' 0.1                       for 0.1 s
uv run python -m tests.race redis 5000 '' '' key                    the writes invalidate by key, or by 'path'
uv run python -m tests.race memcached 5000 'compare `last` on a hit'    with one step of the algorithm left out
"""

import asyncio
import os
import random
import sys
import tempfile
import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

import httpx

from tests.servers import uvicorn_server

ITEMS = 12
"""Each is written by one client, so that it knows what it must read."""


@dataclass
class Seen:
    """What came of some rounds."""

    rounds: int = 0
    requests: int = 0
    hits: int = 0
    late: int = 0
    """Reads of something older than a write in the other server, within the time for which copies are trusted."""
    violations: int = 0
    errors: int = 0


@dataclass
class Written:
    """What one client has written, and the oldest that it may read then."""

    trust: float
    returned: list[tuple[int, int, float]] = field(default_factory=list)
    """Each number, by which server it was written, and when that had returned."""

    def note(self, number, port):
        self.returned.append((number, port, time.monotonic()))

    def oldest(self, port, asked_at):
        """The number that a server has to know at this time at least."""
        known = (it for it, by, at in self.returned if by == port or at <= asked_at - self.trust)
        return max(known, default=0)


async def read(item, port, client, written, seen):
    """Read in one server, and hold what it says against what it has to know."""
    oldest, last = written.oldest(port, time.monotonic()), len(written.returned)
    response = await client.get(f'http://127.0.0.1:{port}/items/{item}')
    seen.requests += 1
    seen.errors += response.status_code != 200
    if response.status_code == 200:
        seen.violations += response.json() < oldest
        seen.late += oldest <= response.json() < last  # the numbers are counted from 1
    return response


async def writer(item, ports, client, rounds, trust, seen):
    """Write in one server, and read in both, while others read too and keep slow answers under way."""
    written = Written(trust)
    for _ in range(rounds):
        here, there = random.sample(ports, 2)
        readers = [asyncio.ensure_future(read(item, random.choice(ports), client, written, seen)) for _ in range(3)]
        await asyncio.sleep(random.uniform(0, 0.03))
        rise = await client.post(f'http://127.0.0.1:{here}/items/{item}/rise')
        seen.requests += 1
        written.note(rise.json(), here)
        for port in (there, here, there):
            response = await read(item, port, client, written, seen)
            seen.hits += response.headers.get('x-cache') == 'HIT'
        await asyncio.gather(*readers)
        if trust:
            await asyncio.sleep(random.uniform(0.5, 1.1) * trust)
            await read(item, there, client, written, seen)
        seen.rounds += 1


def race(
    backend, port, rounds, left_out='', *, write='decorator', near='', items=ITEMS, workers=1, meanwhile=nullcontext
):
    """Run the servers and the rounds, within what goes on meanwhile in the folder; gives what was seen.

    With several workers, there is one server, which hands each connection to one of them.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / 'truth').write_bytes(bytes(8 * ITEMS))
        os.environ.update(
            RACE_BACKEND=backend,
            RACE_PORT=str(port),
            RACE_FOLDER=str(folder / 'store'),
            RACE_TRUTH=str(folder / 'truth'),
            RACE_LEFT_OUT=left_out,
            RACE_WRITE=write,
            RACE_NEAR=near,
            RACE_NAMESPACE=f'race{token_hex(4)}',
        )
        root = Path(__file__).parent.parent
        patient = ('--timeout-keep-alive', '600')  # a connection that is closed as it is used again would be an error
        several, count = (('--workers', str(workers)), 1) if workers > 1 else ((), 2)
        server = ('tests.race_app:app', *patient, *several)
        ports = [stack.enter_context(uvicorn_server(*server, cwd=root)) for _ in range(count)] * (3 - count)
        stack.enter_context(meanwhile(folder / 'store'))
        seen = Seen()

        async def run():
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=200)
            async with httpx.AsyncClient(timeout=60, limits=limits) as client:
                each = -(-rounds // items)
                trust = float(near or 0)
                await asyncio.gather(*(writer(item, ports, client, each, trust, seen) for item in range(items)))

        asyncio.run(run())
    return seen


def main(backend, rounds, left_out='', near='', write='decorator'):
    from tests.conftest import run  # noqa: PLC0415, the servers are for the program alone

    if backend == 'lmdb':
        print(race(backend, 0, int(rounds), left_out, near=near, write=write))
        return
    program = {
        'redis': ('redis-server', '--port', '{port}', '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'),
        'memcached': ('memcached', '-p', '{port}', '-l', '127.0.0.1', '-U', '0', '-u', 'nobody'),
    }[backend]
    for server in run(*program):
        print(race(backend, server.port, int(rounds), left_out, near=near, write=write))


if __name__ == '__main__':
    main(*sys.argv[1:])
