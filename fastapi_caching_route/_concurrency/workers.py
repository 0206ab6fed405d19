"""Whether this process is one of several workers of a server, each of which has its own memory.

Each server leaves a trace in its workers: uvicorn and hypercorn pass them their configuration, granian numbers them,
and gunicorn forks them while its arbiter is running. No other process counts as a worker: not a test under
pytest-xdist, not a `multiprocessing` pool, not the single process behind `--reload`.
"""

import logging
import multiprocessing
import sys
import threading
from contextlib import suppress
from typing import Any

logger = logging.getLogger('fastapi_caching_route')

ONE_OF_SEVERAL = (
    'this process is one of several workers, and each of them caches in its own memory: an invalidation reaches only '
    'the worker that makes it, and the others keep serving outdated responses. Use a backend that all workers share: '
    "FastAPICache(RedisCache(endpoint='...')), with RedisCache from aiocache"
)

_has_told = threading.Event()


def tell_of_workers(*, is_shared: bool) -> None:
    """Warn once per process if it is one of several workers that do not share a store."""
    if not is_shared and not _has_told.is_set() and is_one_of_several():
        _has_told.set()
        logger.warning(ONE_OF_SEVERAL)


def is_one_of_several() -> bool:
    """Whether there are other workers; False if the server cannot be asked."""
    with suppress(Exception):  # the internals of a server have changed: no reason to fail a request
        return _of_gunicorn() if multiprocessing.parent_process() is None else _of_multiprocessing()
    return False


def _of_multiprocessing() -> bool:
    process: Any = multiprocessing.current_process()
    target: Any = getattr(process, '_target', None)
    config: Any = getattr(process, '_kwargs', {}).get('config')
    match str(getattr(target, '__module__', '')).partition('.')[0]:
        case 'uvicorn':
            return bool(config.workers > 1 and not config.should_reload)
        case 'hypercorn':
            return bool(config.workers > 1)
        case 'granian':
            return bool(process._args[0] > 1)  # noqa: SLF001, its number, from 1: the first worker cannot tell
        case _:
            return False


def _of_gunicorn() -> bool:
    """Whether gunicorn's arbiter is on the stack of the main thread: it forked this process from there."""
    arbiter = getattr(sys.modules.get('gunicorn.arbiter'), 'Arbiter', None)
    if arbiter is None:
        return False
    frame: Any = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001, its only name
    while frame is not None:
        candidate = frame.f_locals.get('self')
        if isinstance(candidate, arbiter):
            return bool(candidate.num_workers > 1)
        frame = frame.f_back
    return False
