"""Records the headers that dependencies and the endpoint write on FastAPI's `Response`, by dependencies between theirs.

FastAPI makes one `Response` for each request. Dependencies and the endpoint write on it in turn. At the end, FastAPI
adds its headers to the response that it makes from the returned value. If the endpoint returns a `Response` itself, or
raises, FastAPI drops them.
"""

from collections.abc import Iterator, Sequence
from operator import is_
from typing import Annotated, Any

from fastapi import BackgroundTasks, Depends, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_dependant
from starlette.datastructures import MutableHeaders

from fastapi_caching_route._core.asgi import OF_THE_ENDPOINT, WRITE_LOG
from fastapi_caching_route._core.written import Operation, Written, apply, missed
from fastapi_caching_route._http.fields import Field


class _LoggedHeaders(MutableHeaders):
    """The headers of that response, which record each write. It is a `MutableHeaders`, because users write on it."""

    def __init__(self, raw: list[Field], notes: list[Operation]) -> None:
        super().__init__(raw=raw)
        self._known = list(raw)
        self._notes = notes
        self.was_read = False

    def note_in(self, notes: list[Operation]) -> None:
        """Record in this list from now on."""
        self.catch_up()
        self._notes = notes
        self.was_read = False

    def catch_up(self) -> None:
        """Record writes to the list itself, which `Response.set_cookie` makes."""
        if self._known != self._list:
            self._notes += missed(self._known, self._list)
            self._known = list(self._list)

    @property
    def raw(self) -> list[Field]:
        """The list itself. FastAPI reads it for a response that it makes."""
        self.was_read = True
        return self._list

    def __setitem__(self, key: str, value: str) -> None:
        self.catch_up()
        super().__setitem__(key, value)
        self._note('set', key, value)

    def __delitem__(self, key: str) -> None:
        self.catch_up()
        super().__delitem__(key)
        self._note('delete', key)

    def append(self, key: str, value: str) -> None:
        self.catch_up()
        super().append(key, value)
        self._note('append', key, value)

    def setdefault(self, key: str, value: str) -> str:
        self.catch_up()
        given = super().setdefault(key, value)
        self._note('default', key, value)
        return given

    def _note(self, kind: Any, key: str, value: str = '') -> None:
        operation = (kind, key.lower().encode('latin-1'), value.encode('latin-1'))
        self._notes.append(operation)
        self._known = list(self._list)


class WriteLog:
    """Records the headers that are written on the response of one run."""

    __slots__ = ('_headers', '_response', '_tasks', '_written', 'has_begun')

    def __init__(self, written: Written) -> None:
        """Record in `written`."""
        self._written = written
        self.has_begun = False

    def begin(self, response: Response, tasks: BackgroundTasks | None = None) -> None:
        """Begin with the headers of guards that ran before."""
        self.has_begun = True
        self._written.begin()
        apply([it for guard in self._written.by_guards for it in guard], response.headers.raw)
        self._headers = _LoggedHeaders(response.headers.raw, self._written.by_others[-1])
        self._response, self._tasks = response, tasks
        response._headers = self._headers  # noqa: SLF001, Starlette has no other place for it

    def to_guard(self) -> None:
        """Record the writes of a guard from now on."""
        self._headers.note_in(self._written.next_guard())

    def to_others(self) -> None:
        """Record the writes of the endpoint, or of a dependency that is not a guard, from now on."""
        self._headers.note_in(self._written.by_others[-1])

    def end(self, made: Response) -> None:
        """End with `made`, the response that FastAPI returns."""
        was_read = self._headers.was_read
        self._headers.catch_up()
        wrote = self._response.headers.raw
        last = made.headers.raw[len(made.headers.raw) - len(wrote) :]
        are_there = len(last) == len(wrote) and all(map(is_, last, wrote))
        self._written.made_by_fastapi = made is self._response or (are_there if wrote else was_read)
        self._written.keeps_tasks = made.background is self._tasks


def with_write_log(nodes: Sequence[tuple[Dependant, bool]], path: str) -> Iterator[Dependant]:
    """The dependencies, with ours between them, which record their writes. `nodes` says whether each is a guard."""
    yield get_dependant(path=path, call=_begin)
    was_guard = False
    for node, is_guard in nodes:
        if is_guard or was_guard:
            yield get_dependant(path=path, call=_to_guard if is_guard else _to_others, use_cache=False)
        yield node
        was_guard = is_guard


async def _begin(request: Request, response: Response, tasks: BackgroundTasks) -> WriteLog:
    log: WriteLog = request.scope[WRITE_LOG]  # it stays there for a handler of the user's that tries again
    log.begin(response, tasks)
    return log


CurrentWriteLog = Annotated[WriteLog, Depends(_begin)]


async def _to_guard(request: Request, log: CurrentWriteLog) -> None:
    request.scope[OF_THE_ENDPOINT] = False
    log.to_guard()


async def _to_others(request: Request, log: CurrentWriteLog) -> None:
    request.scope[OF_THE_ENDPOINT] = True
    log.to_others()
