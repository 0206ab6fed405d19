"""Two servers on one store: a write in one is never followed by an older read in the other.

uv run python -m tests.race redis 5000                              rounds of writes and reads, and what they saw
uv run python -m tests.race lmdb 5000
uv run python -m tests.race redis 5000 '' 0                         with near copies, which are trusted for 0 seconds
uv run python -m tests.race memcached 5000 'compare `last` on a hit'    with one step of the algorithm left out
"""

import asyncio
import os
import random
import sys
import tempfile
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
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
    violations: int = 0
    errors: int = 0


async def writer(item, ports, client, rounds, seen):
    """Write in one server, and read in both, while others read too and keep slow answers under way."""
    for _ in range(rounds):
        here, there = random.sample(ports, 2)
        readers = [
            asyncio.ensure_future(client.get(f'http://127.0.0.1:{random.choice(ports)}/items/{item}')) for _ in range(3)
        ]
        await asyncio.sleep(random.uniform(0, 0.03))
        written = (await client.post(f'http://127.0.0.1:{here}/items/{item}/rise')).json()
        for port in (there, here, there):
            response = await client.get(f'http://127.0.0.1:{port}/items/{item}')
            seen.violations += response.json() < written
            seen.hits += response.headers.get('x-cache') == 'HIT'
        await asyncio.gather(*readers)
        seen.rounds += 1
        seen.requests += 7
        seen.errors += sum(it.result().status_code != 200 for it in readers)


def race(backend, port, rounds, left_out='', *, write='decorator', near='', workers=1, meanwhile=nullcontext):
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
                each = -(-rounds // ITEMS)
                await asyncio.gather(*(writer(item, ports, client, each, seen) for item in range(ITEMS)))

        asyncio.run(run())
    return seen


def main(backend, rounds, left_out='', near=''):
    from tests.conftest import run  # noqa: PLC0415, the servers are for the program alone

    if backend == 'lmdb':
        print(race(backend, 0, int(rounds), left_out, near=near))
        return
    program = {
        'redis': ('redis-server', '--port', '{port}', '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'),
        'memcached': ('memcached', '-p', '{port}', '-l', '127.0.0.1', '-U', '0', '-u', 'nobody'),
    }[backend]
    for server in run(*program):
        print(race(backend, server.port, int(rounds), left_out, near=near))


if __name__ == '__main__':
    main(*sys.argv[1:])
