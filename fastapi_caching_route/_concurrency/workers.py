"""Whether this process is one of several workers of a server, each of which has its own memory.

Each server leaves a trace in its workers: uvicorn and hypercorn pass them their configuration, granian numbers them,
and gunicorn and granian fork them while an object of their own is running. Servers that a supervisor starts several
times are children of one parent with the same command. No other process counts as a worker: not a test under
pytest-xdist, not a `multiprocessing` pool, not the single process behind `--reload`.
"""

import logging
import multiprocessing
import os
import re
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

logger = logging.getLogger('fastapi_caching_route')

ONE_OF_SEVERAL = (
    'this process is one of several workers, and each of them caches in its own memory: an invalidation reaches only '
    'the worker that makes it, and the others keep serving old responses. Use a backend that all workers share: '
    "FastAPICache(LMDBCache()) for the workers of one machine, FastAPICache.from_url('redis://...') for several "
    'machines, pods or containers'
)

SERVERS = frozenset({'uvicorn', 'hypercorn', 'granian', 'gunicorn', 'fastapi'})
"""The commands whose processes are compared."""

PROCESSES = Path('/proc')
"""What Linux knows of all processes."""

_NUMBER = re.compile(rb'\d+')
"""In a command: a port, a descriptor, or the number of an instance."""

_has_told = threading.Event()


def tell_of_workers(*, is_shared: bool) -> None:
    """Warn once per process if it is one of several workers that do not share a store."""
    if not is_shared and not _has_told.is_set() and is_one_of_several():
        _has_told.set()
        logger.warning(ONE_OF_SEVERAL)


def is_one_of_several() -> bool:
    """Whether there are other workers; False if the server cannot be asked."""
    with suppress(Exception):  # the internals of a server have changed: no reason to fail a request
        server, workers = os.getpid(), 1
        if multiprocessing.parent_process() is not None:
            server, workers = os.getppid(), _of_multiprocessing()
        elif forked_by := _count_on_stack('gunicorn.arbiter', 'Arbiter', 'num_workers'):
            server, workers = os.getppid(), forked_by
        return workers > 1 or (workers == 1 and _has_siblings(server))
    return False


def _of_multiprocessing() -> int:
    """The number of workers that the server of this process has; 0 if it is no worker."""
    process: Any = multiprocessing.current_process()
    target: Any = getattr(process, '_target', None)
    config: Any = getattr(process, '_kwargs', {}).get('config')
    match str(getattr(target, '__module__', '')).partition('.')[0]:
        case 'uvicorn':
            return 1 if config.should_reload else int(config.workers)
        case 'hypercorn':
            return int(max(1, config.workers))
        case 'granian':
            number: int = process._args[0]  # noqa: SLF001, from 1
            return max(number, _count_on_stack('granian.server.common', 'AbstractServer', 'workers'), _of_granian())
        case _:
            return 0


def _count_on_stack(module: str, name: str, count: str) -> int:
    """The number of workers of a server that has forked this process: then it is on the stack of the main thread."""
    kind: Any = getattr(sys.modules.get(module), name, None)
    frames = {} if kind is None else sys._current_frames()  # noqa: SLF001, its only name
    frame: Any = frames.get(threading.main_thread().ident or 0)
    while frame is not None:
        candidate = frame.f_locals.get('self')
        if isinstance(candidate, kind):
            return int(getattr(candidate, count))
        frame = frame.f_back
    return 0


def _of_granian() -> int:
    """The number of workers in the command of the parent or in the environment, for a worker that was not forked."""
    with suppress(Exception):  # only Linux tells the command of another process
        command = b' '.join(_command(os.getppid())).replace(b'=', b' ').split()
        if b'--workers' in command:
            return int(command[command.index(b'--workers') + 1])
        return int(os.environ.get('GRANIAN_WORKERS', '1'))
    return 1


def _has_siblings(server: int) -> bool:
    """Whether a server has a sibling with the same command and folder: a supervisor has started it several times."""
    own = _command(server)
    if not _is_of_server(own):
        return False
    parent = re.search(r'PPid:\s*(\d+)', (PROCESSES / str(server) / 'status').read_text())
    tasks = (PROCESSES / (parent[1] if parent else '') / 'task').iterdir()
    siblings = {int(it) for task in tasks for it in (task / 'children').read_text().split()} - {server}
    return any(_alike(_command(it)) == _alike(own) and _folder(it) == _folder(server) for it in siblings)


def _is_of_server(command: list[bytes]) -> bool:
    """Whether it is `uvicorn ...`, `python .../bin/uvicorn ...` or `python -m uvicorn ...`, or of another server."""
    names = [Path(os.fsdecode(it)).name for it in command[:3]]
    place = (2 if names[1:2] == ['-m'] else 1) if names[0].startswith('python') else 0
    return SERVERS.issuperset(names[place : place + 1]) and len(names) > place


def _folder(process: int) -> Path:
    return (PROCESSES / str(process) / 'cwd').readlink()


def _command(process: int) -> list[bytes]:
    return (PROCESSES / str(process) / 'cmdline').read_bytes().rstrip(b'\0').split(b'\0')


def _alike(command: list[bytes]) -> list[bytes]:
    return [_NUMBER.sub(b'0', it) for it in command]
