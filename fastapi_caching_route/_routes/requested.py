"""What a request says by `CacheContext` that it makes outdated. Does not know who says it."""

from fastapi_caching_route._core.asgi import REQUESTED, ROUTE_INVALIDATES, Scope
from fastapi_caching_route._fastapi.ending import call_at_ends, may_wait
from fastapi_caching_route._routes.writes import Targets, invalidate_for_all


class RequestedInvalidations:
    """What a request has said by `CacheContext` that it makes outdated; several threads may say it."""

    __slots__ = ('_at_once', '_taken', '_targets', 'has_succeeded', 'is_over')

    def __init__(self, *, at_once: bool = False) -> None:
        """Nothing yet. `at_once` says that nobody can ask for it before the response leaves, so it is not waited for."""
        self._at_once = at_once
        self._targets: Targets = []
        self._taken = 0
        self.has_succeeded: bool = False
        """Whether the endpoint has."""
        self.is_over: bool = False
        """Whether nobody asks for it any more: it may be said by a task that goes on when all else is over."""

    def add(self, targets: Targets) -> None:
        """Say more."""
        self._targets += targets
        if self._at_once or self.is_over:
            for store, names in targets:
                store.invalidate_soon(names)

    def take(self) -> Targets:
        """All of it, also what was taken before: it may have been written again since."""
        self._taken = len(self._targets)
        return self._targets[: self._taken]

    @property
    def has_more(self) -> bool:
        """Whether something was said since it was taken."""
        return len(self._targets) > self._taken

    async def carry_out(self, *, has_succeeded: bool, is_last: bool) -> None:
        """Invalidate it, if the endpoint has succeeded by now; `is_last` says that nobody asks once more."""
        self.is_over = self.is_over or is_last
        self.has_succeeded = self.has_succeeded or has_succeeded
        if self.has_succeeded:
            await invalidate_for_all(self.take())


def requested_in(scope: Scope) -> RequestedInvalidations:
    """What this request says, which is carried out by its route, or else as FastAPI ends the request."""
    for name in (ROUTE_INVALIDATES, REQUESTED):
        requested: RequestedInvalidations | None = scope.get(name)
        if (
            requested is not None and not requested.is_over
        ):  # guards may run before the endpoint, in stacks of their own
            return requested
    requested = scope[REQUESTED] = RequestedInvalidations(at_once=not may_wait(scope))
    call_at_ends(scope, requested.carry_out)
    return requested
