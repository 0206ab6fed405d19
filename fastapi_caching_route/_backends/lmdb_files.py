"""The files of an LMDB store: how they are made, recognized and set aside. Does not know what is in them."""

import errno
import os
import shutil
import struct
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from fastapi_caching_route._backends.lmdb_folder import prepared

if sys.platform != 'win32':  # `LMDBCache` says that it does not work there
    import fcntl

FORMAT = 'v1'
"""The version of the format. Workers with another format have files of their own."""

BOOT = '/proc/sys/kernel/random/boot_id'
"""Where Linux says a random name for the time since it was started."""

LOCK_BYTES = 72 * 1024
"""The size of the file of locks: 64 bytes for each reader, and some more."""

DAMAGED = frozenset(
    {
        *('CorruptedError', 'PageNotFoundError', 'PanicError', 'BadTxnError', 'ProblemError'),
        *('InvalidError', 'VersionMismatchError', 'IncompatibleError', 'PageFullError', 'CursorFullError'),
        'DamageError',
    }
)
"""The exceptions of lmdb, and of ours, that say so."""

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def inner_name(boot: str = BOOT) -> str:
    """The folder of the files, in the folder that users name: it can be replaced in one step.

    Nothing waits until the disk has what was written. So files from before a crash of the machine may be torn, and
    reading them could end the process: after each start of the machine, others are used.
    """
    try:
        return f'{FORMAT}-{Path(boot).read_text(encoding="ascii").strip()}'
    except OSError:
        return f'{FORMAT}-unknown'


INNER = inner_name()


@contextmanager
def alone(folder: Path, within: float) -> 'Generator[None]':
    """Be the only process that opens or replaces the files in a folder.

    Raises:
        TimeoutError: another process has been the only one for `within` seconds.

    """
    descriptor = prepared(folder)
    try:
        until = time.monotonic() + within
        while not _locked(descriptor):
            if time.monotonic() > until:
                msg = f'another process has been opening {folder} for {within} s'
                raise TimeoutError(msg)
            time.sleep(0.001)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def identity(inner: str) -> tuple[int, ...]:
    """Which files these are: no others have the same numbers while these are open."""
    values, locks = os.stat(f'{inner}/data.mdb'), os.stat(f'{inner}/lock.mdb')  # noqa: PTH116, on hits
    return values.st_dev, values.st_ino, locks.st_dev, locks.st_ino


def is_half(inner: str) -> bool:
    """Whether one of the files is there, and the other was deleted."""
    return os.path.lexists(f'{inner}/data.mdb') != os.path.lexists(f'{inner}/lock.mdb')


def make_locks(inner: str) -> None:
    """Make the file of locks if there is none, with all of its space on the disk.

    LMDB writes to it as memory: if the disk were full then, the process would end (SIGBUS). A file that is there must
    not even be opened, since closing it would release the locks that LMDB holds in this process.
    """
    os.makedirs(inner, mode=0o700, exist_ok=True)  # noqa: PTH103, as LMDB takes it
    with suppress(FileExistsError), open(f'{inner}/lock.mdb', 'xb', opener=_privately) as file:
        file.write(bytes(LOCK_BYTES))


def _privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def set_aside(inner: str) -> None:
    """Remove the files in one step. All processes that use them notice that before there are new ones."""
    aside = f'{inner}-{token_hex(8)}'
    os.rename(inner, aside)  # noqa: PTH104, as LMDB takes it
    os.utime(aside)
    shutil.rmtree(aside, ignore_errors=True)


def remove_rests(inner: str) -> None:
    """Remove what was set aside by a process that was killed then, and files from before a start of the machine."""
    for it in Path(inner).parent.glob(f'{FORMAT}-*'):
        if str(it) != inner:
            shutil.rmtree(it, ignore_errors=True)


def free_bytes(inner: str) -> int:
    """How many bytes the disk has free."""
    found = os.statvfs(inner)
    return found.f_bavail * found.f_frsize


def is_damaged(error: object) -> bool:
    """Whether the files contain what nobody has written, or their environment cannot go on with them."""
    return isinstance(error, struct.error) or type(error).__name__ in DAMAGED


def is_full(error: object) -> bool:
    """Whether the map or the disk has no room."""
    return type(error).__name__ in {'MapFullError', 'TxnFullError'} or is_disk_full(error)


def is_disk_full(error: object) -> bool:
    """Whether the disk has no room. LMDB says so in the words of the system, or that a write was too short (EIO)."""
    return isinstance(error, Exception) and any(os.strerror(it) in str(error) for it in DISK_FULL)
