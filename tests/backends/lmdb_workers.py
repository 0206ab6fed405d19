"""Processes that use one LMDB store, and a look at whether it is whole."""

import math
import os
import select
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager, suppress

from fastapi_caching_route._backends import lmdb_table
from fastapi_caching_route._backends.lmdb_table import COUNTS, ENDS, LARGE, META, PINNED, SMALL, VALUE

BEGIN = """
import asyncio, ctypes, os, signal, sys, time
from zlib import crc32
from aiocache.serializers import NullSerializer
from fastapi_caching_route import LMDBCache

def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)

die_with_parent()
cache = LMDBCache(sys.argv[1], max_bytes=int(sys.argv[2]), serializer=NullSerializer())

def whole(number, size):
    body = bytes([number % 251]) * size
    return crc32(body).to_bytes(4, 'big') + body

def say(text):
    print(text, flush=True)
"""


@contextmanager
def worker(folder, code, max_bytes=4_000_000):
    """A process that runs the code, in which `cache` is on this folder. It is killed in the end."""
    program = BEGIN + textwrap.dedent(code)
    process = subprocess.Popen(  # noqa: S603, our own code
        [sys.executable, '-c', program, str(folder), str(max_bytes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its children, too
        process.communicate()


def hear(process, seconds=60):
    """The next line that a process says."""
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    assert ready, 'it says nothing'
    return process.stdout.readline().strip()


def is_stopped(process):
    """Wait until a process is stopped."""
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    return os.WIFSTOPPED(status) and os.WSTOPSIG(status) == signal.SIGSTOP


def all_rows(cache):
    return cache.store.look(lambda table: table.rows(b'', 10**9))


def consistent(cache):
    """Whether all rows of a store say the same: each value is known, queued and counted once, and expires once."""
    rows = dict(all_rows(cache))
    kinds = {
        kind: {key: row for key, row in rows.items() if key[:1] == kind} for kind in (VALUE, META, ENDS, SMALL, LARGE)
    }
    metas = {key[1:]: lmdb_table._Meta._make(lmdb_table._META.unpack(row)) for key, row in kinds[META].items()}
    values = {key[1:]: lmdb_table.END.unpack_from(row)[0] for key, row in kinds[VALUE].items()}
    assert {key: it.ends_at for key, it in metas.items()} == values
    queued = {
        (key[:1], row): lmdb_table._PLACE.unpack(key[1:])[0] for key, row in (kinds[SMALL] | kinds[LARGE]).items()
    }
    assert queued == {(it.queue, key): it.place for key, it in metas.items() if it.queue != PINNED}
    assert kinds[ENDS] == {lmdb_table._ending(it): key for key, it in metas.items() if it.ends_at < math.inf}
    if COUNTS in rows:
        small, large, *_ = lmdb_table._COUNTS.unpack(rows[COUNTS])
        assert (small, large) == (len(kinds[SMALL]), len(kinds[LARGE]))
    return True
