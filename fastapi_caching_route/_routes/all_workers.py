"""The statistics of all processes that share a store: each publishes its own on the board of the store.

Knows what the texts on the board say; does not know how they get there.
"""

import asyncio
import os
import socket
import time
from contextlib import suppress
from functools import partial

from msgspec import MsgspecError, Struct, json

from fastapi_caching_route._backends.outage import in_words
from fastapi_caching_route._concurrency.tasks import keep_running, without_exit
from fastapi_caching_route._routes.counted import minutes_of, stats_of
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route._store.board import INTERVAL_SECONDS, Board
from fastapi_caching_route.errors import CacheError
from fastapi_caching_route.stats import CacheStats, MinuteStats, RouteStats, WorkerStats, of_workers, together

FIRST_SECONDS = 1.0
"""How long a process lives before it publishes: a test or a command may use a cache for less."""


FORGOTTEN_AFTER = 600.0
"""After how many seconds a text counts as of a process that has ended. It should have expired long before, but may
have lost its time; and the clocks of two machines differ."""


class _Published(Struct):
    at: float
    """Seconds since the epoch."""
    routes: tuple[RouteStats, ...]
    minutes: tuple[MinuteStats, ...] = ()


def begin_publishing(settings: Settings) -> None:
    """Note what this process has counted every few seconds, in the background, and publish it if others can read it."""
    minutes_of(settings)
    settings.publishing.begin(partial(_publish, settings))


async def _publish(settings: Settings) -> None:
    await asyncio.sleep(FIRST_SECONDS)
    while True:
        # In a task of its own: it may raise anything, also a cancellation, and the next time may be better.
        writing = keep_running(asyncio.ensure_future(without_exit(_write(settings))), _writing)
        try:
            await asyncio.wait((writing,))
        except asyncio.CancelledError:
            writing.cancel()
            await asyncio.wait((writing,))  # else it could take a place that `end_publishing` has freed
            raise
        await asyncio.sleep(INTERVAL_SECONDS)


_writing: 'set[asyncio.Task[None]]' = set()


async def _write(settings: Settings) -> None:
    own, board = stats_of(settings), settings.store.board
    if board is not None:
        await board.write(json.encode(_Published(time.time(), own.routes, own.minutes)).decode())


async def end_publishing(settings: Settings) -> None:
    """Publish nothing any more, and free the place of this process."""
    await settings.publishing.end()
    board = settings.store.board
    if board is not None:
        with suppress(Exception):  # it expires by itself
            await board.leave()


async def stats_of_all(settings: Settings) -> CacheStats:
    """What this cache has done in all processes that share its store, as far as they have published it.

    Raises:
        CacheError: the store cannot be read.

    """
    own, board = stats_of(settings), settings.store.board
    name = f'{socket.gethostname()}:{os.getpid()}:' if board is None else board.name
    others = {} if board is None else await _texts(board)
    others.pop(name, None)
    read = [_read(it, text) for it, text in others.items()]
    return of_workers(own, [_worker(name, time.time(), own), *(it for it in read if it is not None)])


async def _texts(board: Board) -> dict[str, str]:
    try:
        return await board.texts()
    except Exception as error:
        msg = f'the statistics of other workers cannot be read: {in_words(error)}'
        raise CacheError(msg) from error


def _read(name: str, text: str) -> WorkerStats | None:
    """What another process has published; None if it is of another version, or very old."""
    try:
        published = json.decode(text, type=_Published)
    except MsgspecError:
        return None
    if time.time() - published.at > FORGOTTEN_AFTER:
        return None
    total, routes = together(published.routes), published.routes
    return _worker(name, published.at, CacheStats(total, routes, minutes=published.minutes))


def _worker(name: str, at: float, stats: CacheStats) -> WorkerStats:
    return WorkerStats(name.rpartition(':')[0], max(time.time() - at, 0.0), stats)
