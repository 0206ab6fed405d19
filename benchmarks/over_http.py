"""Requests in a second over uvicorn, with wrk in a process of its own; skipped where there is no wrk.

With one worker and with two, each over memory, LMDB, Redis and Redis with near copies.

uv run --group bench python benchmarks/over_http.py
    [--rounds N] [--seconds N] [--workers N ...] [--thawed] [--json FILE]
"""

import argparse
import gc
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from aiocache import RedisCache
from fastapi import APIRouter, FastAPI

sys.path.insert(0, str(Path(__file__).parent))
from routes import cached, large, limit, small, uncached
from servers import free_port, redis_server, wait_for
from speed import versions

from fastapi_caching_route import LMDBCache, MemoryCache, NearCopies

CONNECTIONS = 16
_LATENCY = re.compile(r'(50|99)%\s+([\d.]+)(us|ms|s)')
_MILLISECONDS = {'us': 0.001, 'ms': 1.0, 's': 1000.0}


def kept_in(backend: Any, **of_cache: Any) -> APIRouter:
    """A router over this backend, with an endpoint of its own: a function is decorated once."""

    async def answer():
        return await small()

    return cached(answer, of_cache=of_cache)(backend)


def app() -> FastAPI:
    """What uvicorn serves: the cases below each other, each with as many routes before it as has to be."""
    served, port = FastAPI(), int(os.environ['BENCH_REDIS'])
    served.include_router(limit('/limit'))
    served.include_router(kept_in(MemoryCache()), prefix='/memory')
    served.include_router(cached(large)(MemoryCache()), prefix='/large')
    served.include_router(kept_in(LMDBCache(os.environ['BENCH_LMDB'])), prefix='/lmdb')
    if port:
        served.include_router(kept_in(RedisCache(endpoint='127.0.0.1', port=port)), prefix='/redis')
        near = RedisCache(endpoint='127.0.0.1', port=port, namespace='near')
        served.include_router(kept_in(near, near=NearCopies()), prefix='/near')
    served.include_router(uncached(small)(None), prefix='/uncached')
    if not int(os.environ['BENCH_THAWED']):
        gc.collect()
        gc.freeze()  # what stands now is not looked through again and again: see docs/performance.md
    return served


def cases(redis: int | None) -> dict[str, str]:
    found = {'limit_route': '/limit', 'memory': '/memory/case', 'memory, 100 kB': '/large/case', 'LMDB': '/lmdb/case'}
    of_redis = {'Redis': '/redis/case', 'Redis, near': '/near/case'} if redis else {}
    return found | of_redis | {'not cached': '/uncached/case'}


def load(path: str, port: int, seconds: int) -> tuple[float, float, float]:
    """Requests in a second, and the milliseconds in which half of them, and 99 of 100, were answered."""
    wrk = ['wrk', '-t1', f'-c{CONNECTIONS}', f'-d{seconds}s', '--latency', f'http://127.0.0.1:{port}{path}']
    said = subprocess.run(wrk, capture_output=True, text=True, check=True).stdout
    assert 'Non-2xx' not in said, said
    latency = {share: float(number) * _MILLISECONDS[unit] for share, number, unit in _LATENCY.findall(said)}
    rate = float(said.partition('Requests/sec:')[2].split()[0])
    return rate, latency['50'], latency['99']


def measure(redis: int | None, rounds: int, seconds: int, workers: int, *, thawed: bool) -> dict[str, Any]:
    port, folder = free_port(), Path(__file__).parent
    command = ['uvicorn', 'over_http:app', '--factory', '--port', str(port), '--loop', 'uvloop', '--http', 'httptools']
    lmdb = tempfile.mkdtemp(dir='/dev/shm' if Path('/dev/shm').is_dir() else None)
    server = subprocess.Popen(
        [sys.executable, '-m', *command, '--log-level', 'error', '--workers', str(workers)],
        cwd=folder,
        env={**os.environ, 'BENCH_REDIS': str(redis or 0), 'BENCH_LMDB': lmdb, 'BENCH_THAWED': str(int(thawed))},
    )
    try:
        wait_for(port)
        results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in cases(redis)}
        for _ in range(rounds):
            for name, path in cases(redis).items():
                results[name].append(load(path, port, seconds))
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(lmdb, ignore_errors=True)
    return {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in results.items()}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument('--rounds', type=int, default=3)
    arguments.add_argument('--workers', type=int, nargs='*', default=[1, 2])
    arguments.add_argument('--seconds', type=int, default=2)
    arguments.add_argument('--thawed', action='store_true', help='without gc.freeze()')
    arguments.add_argument('--json', type=Path, help='also write the numbers to this file')
    given = arguments.parse_args()
    if shutil.which('wrk') is None:
        print('skipped: there is no wrk in PATH')
        return
    print(', '.join(f'{name} {version}' for name, version in versions().items()))
    print(f'uvicorn (uvloop, httptools), wrk with {CONNECTIONS} connections, median of {given.rounds} rounds')
    of_all: dict[str, Any] = {}
    for workers in given.workers:
        with redis_server() as port:
            found = measure(port, given.rounds, given.seconds, workers, thawed=given.thawed)
        print(f'{f"workers: {workers}":<24}{"requests/s":>12}{"of limit":>10}{"p50 ms":>9}{"p99 ms":>9}')
        for name, (rate, half, most) in found.items():
            print(f'{name:<24}{rate:>12.0f}{rate / found["limit_route"][0]:>10.2f}{half:>9.2f}{most:>9.2f}')
        of_all[str(workers)] = found
    if given.json:
        given.json.write_text(json.dumps({'versions': versions(), 'workers': of_all}, indent=2), encoding='utf-8')


if __name__ == '__main__':
    main()
