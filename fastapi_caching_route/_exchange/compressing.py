"""What a run has stored is compressed once its response has been sent, and stored once more in that form.

    stored as it is ──> sent ──> compressed ──> stored in its place, unless that has changed

Does not know how a run goes.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import Struct

from fastapi_caching_route._concurrency.tasks import IN_BRIEF_LOOP, keep_running
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._exchange.plan import Plan
from fastapi_caching_route._store.visit import Visit


class Compressing(Struct, eq=False):
    """What one run has stored, until it is compressed. Storing may end before or after the response has been sent."""

    _plan: Plan
    _entry: Entry | None = None
    _until: float = 0.0
    _was_withdrawn: Callable[[Visit], bool] | None = None
    _may_begin: bool = False
    _task: 'asyncio.Task[None] | None' = None

    async def end(self, running: Coroutine[Any, Any, None]) -> None:
        """Wait for the run, and then until what it has stored is compressed."""
        try:
            await running
        finally:  # what is stored is compressed even if its client has gone
            self.begin()
        if self._task is not None:
            await asyncio.wait((self._task,))

    def note(self, entry: Entry, span: float, was_withdrawn: Callable[[Visit], bool]) -> None:
        """This entry was stored for so many seconds; another run may withdraw it."""
        self._entry, self._until, self._was_withdrawn = entry, self._plan.runtime.clock() + span, was_withdrawn
        if self._may_begin:
            self._begin(entry)

    def begin(self) -> None:
        """The response has been sent."""
        self._may_begin = True
        if self._entry is not None:
            self._begin(self._entry)

    def _begin(self, entry: Entry) -> None:
        """Begin in a task of its own: that of the request may be cancelled when its client has got everything."""
        is_plain = entry.coded is not None and not entry.coded.coding
        if is_plain and self._task is None and not IN_BRIEF_LOOP.get():
            task = asyncio.get_running_loop().create_task(self._compress(entry))
            self._task = keep_running(task, self._plan.runtime.compressing)

    async def _compress(self, entry: Entry) -> None:
        compression, runtime, was_withdrawn = self._plan.compression, self._plan.runtime, self._was_withdrawn
        assert compression is not None
        assert was_withdrawn is not None
        smaller, visit = await runtime.coded_entries.get(compression, entry), runtime.store.visit()
        left = self._until - runtime.clock()
        if smaller is entry or left <= 0:
            return
        await visit.replace(entry, smaller, left)
        if was_withdrawn(visit):  # meanwhile, and it may have been stored after it was deleted
            await visit.forget(entry.key)
