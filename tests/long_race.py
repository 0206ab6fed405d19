"""Workers of uvicorn on one LMDB store, while other workers on it are killed and stopped. `just long-race`.

uv run python -m tests.long_race 100000         requests to two workers, and as many to four
"""

import os
import random
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests.race import ITEMS, race
from tests.servers import ROOT, uvicorn_server

REQUESTS_A_ROUND = 7

killed, stopped = [], []
"""The processes to which that was done."""


@contextmanager
def victims(_folder, count=2):
    """A server on the same store whose workers are killed and stopped, one after another, while they are asked."""
    ended = threading.Event()
    with uvicorn_server('tests.race_app:app', '--workers', str(count), cwd=ROOT) as port:
        asking = [threading.Thread(target=_ask, args=(port, ended)) for _ in range(2)]
        hunting = threading.Thread(target=_hunt, args=(port, ended))
        for it in (*asking, hunting):
            it.start()
        try:
            yield
        finally:
            ended.set()
            for it in (*asking, hunting):
                it.join()


def _ask(port, ended):
    """Read and invalidate items; whether that is answered does not matter."""
    while not ended.is_set():
        with suppress(httpx.HTTPError), httpx.Client(timeout=2) as client:
            item = random.randrange(ITEMS)
            client.get(f'http://127.0.0.1:{port}/items/{item}')
            client.post(f'http://127.0.0.1:{port}/invalidate/{item}')


def _hunt(port, ended):
    while not ended.is_set():
        time.sleep(random.uniform(0.2, 1))
        with suppress(OSError, IndexError):
            victim = random.choice(_workers(port))
            if random.random() < 0.5:
                os.kill(victim, signal.SIGSTOP)
                time.sleep(random.uniform(0.1, 0.5))
                os.kill(victim, signal.SIGCONT)
                stopped.append(victim)
            else:
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)


def _workers(port):
    """The processes of the workers of the server on this port, which uvicorn has spawned."""
    found = []
    for process in Path('/proc').glob('[0-9]*'):
        with suppress(OSError):
            if f'--port\0{port}\0'.encode() in (process / 'cmdline').read_bytes():
                children = (process / 'task' / process.name / 'children').read_text().split()
                found += [it for it in map(int, children) if b'spawn_main' in Path(f'/proc/{it}/cmdline').read_bytes()]
    return found


def main(requests='100000'):
    for workers in (2, 4):
        rounds = int(requests) // REQUESTS_A_ROUND
        print(f'{workers} workers:', race('lmdb', 0, rounds, workers=workers, meanwhile=victims))
        print(f'meanwhile, {len(killed)} others were killed and {len(stopped)} stopped')
        killed.clear()
        stopped.clear()


if __name__ == '__main__':
    main(*sys.argv[1:])
