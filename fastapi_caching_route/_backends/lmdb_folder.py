"""The folder of an LMDB store: where it is by default, and whether it is safe to use.

Knows paths, owners and permissions. Does not know LMDB.
"""

import hashlib
import logging
import os
import stat
import sys
import tempfile
from pathlib import Path

from fastapi_caching_route.errors import ConfigurationError

logger = logging.getLogger('fastapi_caching_route')

TMPFS = '/dev/shm'  # noqa: S108, a folder in it has to pass the checks below
"""Where Linux has a file system in memory."""

SHUT = stat.S_IRWXG | stat.S_IRWXO
"""The permissions of others, none of which may be given."""


NOT_ROBUST = (
    'LMDBCache is not for production on macOS: if a process is killed in the middle of a write, no other process can '
    'write until the folder is deleted'
)


def default_folder(least: int) -> Path:
    """A folder whose name is the same in each worker: it says the user and the working folder.

    It is in the file system in memory if that has a size of `least` bytes, otherwise among the temporary files.
    """
    name = hashlib.blake2b(os.fsencode(Path.cwd()), digest_size=8).hexdigest()
    return Path(_temporary(least)) / f'fastapi-caching-route-{os.getuid()}-{name}'


def _temporary(least: int) -> str:
    try:
        size = os.statvfs(TMPFS)
    except OSError:
        return tempfile.gettempdir()
    usable = os.access(TMPFS, os.W_OK | os.X_OK) and size.f_blocks * size.f_frsize >= least
    return TMPFS if usable else tempfile.gettempdir()


def checked_platform() -> None:
    """Return on a platform where an LMDB store works; warn where it does so with limits.

    Raises:
        ConfigurationError: it does not work here.

    """
    if sys.platform == 'win32':
        msg = (
            'LMDBCache does not work on Windows: its files cannot be replaced while a process has them open. '
            'Use MemoryCache() for one process, or Redis for several'
        )
        raise ConfigurationError(msg)
    if sys.platform == 'darwin':
        logger.warning(NOT_ROBUST)


def prepared(folder: Path) -> int:
    """Make the folder if it is missing, and return an open descriptor of it.

    Raises:
        ConfigurationError: it is a symbolic link, no folder, or somebody else may write to it.

    """
    try:
        folder.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        msg = f'LMDBCache cannot use {folder} ({error.strerror}): it must be a folder, and no symbolic link'
        raise ConfigurationError(msg) from error
    reason = _unsafe(folder, os.fstat(opened))
    if reason:
        os.close(opened)
        msg = f'LMDBCache cannot use {folder}: {reason}'
        raise ConfigurationError(msg)
    return opened


def _unsafe(folder: Path, found: os.stat_result) -> str | None:
    """Why a folder is not safe: who can write to it can plant entries, who can read it can read all responses."""
    if found.st_uid != os.geteuid():
        return f'it belongs to user {found.st_uid}, and this is user {os.geteuid()}'
    if found.st_mode & SHUT:
        return f'others may use it (mode {stat.S_IMODE(found.st_mode):04o}). Run: chmod 700 {folder}'
    return None
