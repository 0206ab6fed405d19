"""The invalidations that a request asks for through `CacheContext`. Does not know `CacheContext` itself."""

from fastapi_caching_route._core.asgi import REQUESTED, ROUTE_INVALIDATES, Scope
from fastapi_caching_route._fastapi.ending import call_at_ends, may_wait
from fastapi_caching_route._routes.writes import Targets, invalidate_for_all


class RequestedInvalidations:
    """The invalidations that one request has asked for. Several threads may add to them."""

    __slots__ = ('_at_once', '_taken', '_targets', 'has_succeeded', 'is_over')

    def __init__(self, *, at_once: bool = False) -> None:
        """Start empty. `at_once`: nothing can carry them out before the response is sent, so `add` starts them."""
        self._at_once = at_once
        self._targets: Targets = []
        self._taken = 0
        self.has_succeeded: bool = False
        """Whether the endpoint has succeeded."""
        self.is_over: bool = False
        """Whether nothing carries them out any more. A task that runs longer than the request may still add some."""

    def add(self, targets: Targets) -> None:
        """Add names to invalidate, each with its store."""
        self._targets += targets
        if self._at_once or self.is_over:
            for store, names in targets:
                store.invalidate_soon(names)

    def take(self) -> Targets:
        """All of them. Those that were taken before are included, because the request may have written again since."""
        self._taken = len(self._targets)
        return self._targets[: self._taken]

    @property
    def has_more(self) -> bool:
        """Whether some were added since the last `take`."""
        return len(self._targets) > self._taken

    async def carry_out(self, *, has_succeeded: bool, is_last: bool) -> None:
        """Invalidate, if the endpoint has succeeded by now. `is_last`: this is the last call."""
        self.is_over = self.is_over or is_last
        self.has_succeeded = self.has_succeeded or has_succeeded
        if self.has_succeeded:
            await invalidate_for_all(self.take())


def requested_in(scope: Scope) -> RequestedInvalidations:
    """The invalidations of this request. Its route carries them out, or else the exit stacks of FastAPI."""
    for name in (ROUTE_INVALIDATES, REQUESTED):
        requested: RequestedInvalidations | None = scope.get(name)
        # One may be over already: guards may run before the endpoint, in exit stacks of their own.
        if requested is not None and not requested.is_over:
            return requested
    requested = scope[REQUESTED] = RequestedInvalidations(at_once=not may_wait(scope))
    call_at_ends(scope, requested.carry_out)
    return requested
