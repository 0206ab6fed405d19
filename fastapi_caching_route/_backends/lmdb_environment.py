"""The environment of LMDB in one folder, shared by all threads of this process.

Knows how it is opened, when it has to be opened anew, and what a fork does to it. Does not know what is stored.

LMDB forbids to open a folder twice in a process, and to use an environment after a fork. So there is one object per
folder, and the environment is closed before each fork; parent and child then open it anew.

The folder may be deleted or replaced at any time: by a cleaner of temporary files, by a deploy, or by us (`replace`).
Processes that use the old files and those that use the new ones do not see each other. So each transaction begins
with a look at the folder (`current`), and each write transaction ends with one (`is_current`): what was written
to files that have been replaced meanwhile is written again.
"""

import logging
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from itertools import count
from pathlib import Path
from threading import Lock, RLock
from typing import Any

from fastapi_caching_route._backends.lmdb_files import (
    INNER,
    alone,
    identity,
    is_damaged,
    is_half,
    make_locks,
    remove_rests,
    set_aside,
)
from fastapi_caching_route._backends.lmdb_forks import told_of_forks
from fastapi_caching_route.errors import ConfigurationError

logger = logging.getLogger('fastapi_caching_route')

HEADROOM = 64 * 1024 * 1024
"""How much larger the map is than what entries may take: for invalidations, and for pages that are not free yet."""

MAX_READERS = 1022
"""How many processes can read at a time."""

SETTLED = 50_000_000
"""In nanoseconds. The clock of a file system ticks every few milliseconds: only the time of a change that is older than
this surely differs from that of the next one."""

SAME_PATH = 0.005
"""For how many seconds a folder is taken to have the same path. What is deleted in it, also by `replace`, is noticed at
once; only that it was moved, with all that is in it, may take so long."""

WAIT_TO_OPEN = 0.5
"""How many seconds to wait while other processes open the folder. All requests of the process wait."""

PAUSE = 2.0
"""After it could not be opened, how many seconds it is left alone."""

SET_ASIDE_AGAIN = 60.0
"""At most once in so many seconds, damaged files are replaced: they could be damaged again and again."""

WAIT_TO_FORK = 1.0
"""How many seconds a fork waits for a write transaction to end, before it goes on without."""


_numbers = count(1)


class Opened:
    """An open environment, and the files that it was opened from."""

    __slots__ = ('descriptor', 'env', 'files', 'number', 'seen', 'until')

    def __init__(self, env: Any, inner: str) -> None:
        """Take an environment in a folder."""
        self.env: Any = env
        self.number: int = next(_numbers)
        """No other one of this process has the same."""
        self.files: tuple[int, ...] = identity(inner)
        self.descriptor: int = os.open(inner, os.O_RDONLY | os.O_DIRECTORY)
        self.seen: int = -1
        """When the folder was changed last, with these files in it. Not known while that is too recent to tell."""
        self.until: float = 0.0
        """Until when nobody looks whether the folder has still the same path."""

    def __del__(self) -> None:
        """Close the folder."""
        with suppress(AttributeError):  # it was deleted before it could be opened
            os.close(self.descriptor)


class Environment:
    """The environment in one folder. There must be one object only for each folder in a process."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Open it when it is used for the first time."""
        self.lmdb: Any = lmdb_module()
        self.folder = folder
        self.inner: str = str(folder / INNER)
        self.max_bytes = max_bytes
        self.map_size: int = map_size(max_bytes)
        self.lock: RLock = RLock()
        """Held while this process reads, and while the environment is opened or closed."""
        self.writing: Lock = Lock()
        """Held during a write transaction."""
        self._opened: Opened | None = None
        self._lost: Opened | None = None
        """What was inherited by a fork, and must neither be used nor closed."""
        self._failed: tuple[float, str] = (-math.inf, '')
        self._set_aside_at = -math.inf
        self._forking = False
        self.in_child: list[Callable[[], None]] = []
        """Called in a forked child."""
        told_of_forks(self)

    def current(self) -> Opened:
        """The environment of the files that are in the folder now. The caller holds `lock`, and reads under it."""
        opened = self._opened
        if opened is None:
            return self._open()
        if os.fstat(opened.descriptor).st_mtime_ns == opened.seen and time.monotonic() < opened.until:
            return opened
        return opened if self.is_current(opened) else self._open()

    def is_current(self, opened: Opened) -> bool:
        """Whether the files in the folder are still those of this environment. Looks at each of them, by its path."""
        try:
            changed_at = os.fstat(opened.descriptor).st_mtime_ns
            if identity(self.inner) != opened.files:
                return False
        except OSError:
            return False
        opened.seen = changed_at if time.time_ns() - changed_at > SETTLED else -1
        opened.until = time.monotonic() + SAME_PATH
        return True

    def reading(self, opened: Opened, *, buffers: bool) -> Any:
        """A read transaction. The caller holds `lock`."""
        try:
            return opened.env.begin(None, None, False, buffers)  # noqa: FBT003, by name it takes twice the time
        except self.lmdb.MapResizedError:
            # A process with a larger map has written behind the end of ours.
            if not self.writing.acquire(blocking=False):
                raise
            try:
                opened.env.set_mapsize(0)
            finally:
                self.writing.release()
            return opened.env.begin(buffers=buffers)
        except self.lmdb.Error as error:
            self.has_replaced(opened, error)
            raise

    def writing_to(self, opened: Opened) -> Any:
        """A write transaction, which may have to wait for other processes. The caller holds `writing`."""
        try:
            return opened.env.begin(write=True)
        except self.lmdb.MapResizedError:
            with self.lock:
                opened.env.set_mapsize(0)
            return opened.env.begin(write=True)

    def replace(self) -> None:
        """Begin with new, empty files. All processes notice that before they read again."""
        # Under the lock, so that no child that is forked meanwhile keeps the folder locked.
        with self.lock, alone(self.folder, WAIT_TO_OPEN), suppress(FileNotFoundError):
            set_aside(self.inner)

    def has_replaced(self, opened: Opened, error: Exception) -> bool:
        """Whether these files are no longer used, since they are damaged, by this error: there may be new ones.

        Other processes may have seen the same damage: what has replaced it is not replaced.
        """
        now = time.monotonic()
        if not is_damaged(error) or now - self._set_aside_at < SET_ASIDE_AGAIN:
            return False
        with self.lock, suppress(OSError, ConfigurationError):
            self._set_aside_at = now
            with alone(self.folder, WAIT_TO_OPEN):
                if self.is_current(opened):
                    set_aside(self.inner)
                    said = f'{type(error).__name__}: {error}'
                    logger.warning(
                        'the LMDB store %s is damaged, and is replaced by an empty one: %s', self.folder, said
                    )
            return True
        return False

    def size(self) -> int:
        """How many bytes the file takes on the disk."""
        return os.stat(f'{self.inner}/data.mdb').st_blocks * 512  # noqa: PTH116, as on each hit

    def check_readers(self) -> None:
        """Forget the readers of processes that were killed: what they read could not be freed."""
        with self.lock:
            self.current().env.reader_check()

    def close(self) -> None:
        """Close it, unless a write transaction is under way; it is opened again when it is used."""
        if self.writing.acquire(blocking=False):
            try:
                with self.lock:
                    self._close()
            finally:
                self.writing.release()

    def _close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.env.close()

    def _open(self) -> Opened:
        if self._lost is not None:
            msg = 'this process was forked while another one held the lock of the LMDB store, and cannot use it'
            raise ConnectionError(msg)
        failed_at, why = self._failed
        if time.monotonic() - failed_at < PAUSE:
            raise ConnectionError(why)
        self._opened = None
        try:
            opened = self._opened = self._newly_opened()
        except (OSError, ConfigurationError, self.lmdb.Error) as error:
            self._failed = (time.monotonic(), f'{type(error).__name__}: {error}')
            raise
        return opened

    def _newly_opened(self) -> Opened:
        with alone(self.folder, WAIT_TO_OPEN):
            remove_rests(self.inner)
            if is_half(self.inner):
                # Processes with different locks would write at the same time.
                set_aside(self.inner)
            try:
                env = self._environment()
            except (self.lmdb.InvalidError, self.lmdb.VersionMismatchError, self.lmdb.CorruptedError):
                set_aside(self.inner)
                env = self._environment()
            env.reader_check()
            return Opened(env, self.inner)

    def _environment(self) -> Any:
        make_locks(self.inner)
        return self.lmdb.open(
            self.inner,
            map_size=self.map_size,
            mode=0o700,
            max_readers=MAX_READERS,
            max_spare_txns=1,  # only one thread of a process reads at a time
            readahead=False,
            # A cache need not survive a crash of the machine. What other processes see does not depend on it.
            sync=False,
            metasync=False,
            # Never: with a file system that is full, writing to the map would end the process (SIGBUS).
            writemap=False,
        )

    def before_fork(self) -> None:
        """Close it, so that the child inherits nothing of it."""
        has_ended = self.writing.acquire(timeout=WAIT_TO_FORK)
        self.lock.acquire()
        if has_ended:
            self._close()
        self._forking = has_ended

    def after_fork_in_parent(self) -> None:
        """Go on; it is opened again when it is used."""
        self.lock.release()
        if self._forking:
            self.writing.release()

    def after_fork_in_child(self) -> None:
        """Start anew: the locks may be held by threads that the child does not have."""
        self.lock, self.writing = RLock(), Lock()
        self._lost, self._opened = self._opened, None
        for renew in self.in_child:
            renew()


def map_size(max_bytes: int) -> int:
    """How large the map is in which entries may take `max_bytes`."""
    return max_bytes + max_bytes // 2 + HEADROOM


def lmdb_module() -> Any:
    """The package lmdb.

    Raises:
        ConfigurationError: it is not installed.

    """
    try:
        return import_module('lmdb')
    except ImportError as error:
        msg = 'LMDBCache needs the package lmdb: install the extra `lmdb` of fastapi-caching-route'
        raise ConfigurationError(msg) from error
