"""A board in a store that several processes share: each of them keeps one text there, and reads those of all.

There is no list of processes. A process takes one of a few slots that is free, and writes it anew before it expires,
so every backend will do. Does not know what the texts say. All trouble of the backend is raised.
"""

import os
import secrets
import socket

from fastapi_caching_route._backends.linked import LinkedBackend
from fastapi_caching_route._core.key import full_key

SLOTS = 128
"""How many processes have a slot. With more, some are missing."""

INTERVAL_SECONDS, KEPT_SECONDS = 5.0, 16.0
"""How often a process writes its text, and for how long that is kept: it may come late, and may fail once."""

SLOT, SEPARATOR = '%worker', '\n'


class Board:
    """The board of one store, as this process uses it."""

    __slots__ = ('_backend', '_keys', '_name', '_pid', '_slot', '_timeout')

    def __init__(self, backend: LinkedBackend, root: str, timeout: float) -> None:
        """This process has no slot yet."""
        self._backend = backend
        self._timeout = timeout
        self._keys = [full_key(root, f'{SLOT}{number}') for number in range(SLOTS)]
        self._name, self._pid = '', 0
        self._slot: str | None = None

    async def write(self, text: str) -> None:
        """Write the text of this process into its slot. It takes one if it has none, or has lost it."""
        name, signed = self.name, f'{self.name}{SEPARATOR}{text}'
        if self._slot is not None:
            (found,), _ = await self._backend.get([self._slot], self._timeout)
            if found is None or str(found).startswith(name + SEPARATOR):
                await self._backend.set(self._slot, signed, KEPT_SECONDS, self._timeout)
                return
        self._slot = None
        first = self._pid % SLOTS  # most probably no other process has this one
        for key in (*self._keys[first:], *self._keys[:first]):
            if await self._backend.add(key, signed, KEPT_SECONDS, self._timeout):
                self._slot = key
                return

    async def texts(self) -> dict[str, str]:
        """The text of each process, by the name of the process."""
        found, _ = await self._backend.get(self._keys, self._timeout)
        pairs = [it.partition(SEPARATOR) for it in found if isinstance(it, str)]
        return {name: text for name, _, text in pairs}

    async def leave(self) -> None:
        """Free the slot of this process."""
        slot, self._slot = self._slot, None
        if slot is not None and self._pid == os.getpid():
            await self._backend.delete(slot, self._timeout)

    @property
    def name(self) -> str:
        """This process: its host, its id, and a random part, since ids come again."""
        if self._pid != os.getpid():  # also after a fork
            self._slot, self._pid = None, os.getpid()
            self._name = f'{socket.gethostname()}:{self._pid}:{secrets.token_hex(4)}'
        return self._name
