"""Invalidations that a purge makes itself. Sent on, each of them would call the purge again, without end."""

import logging
from collections.abc import Sequence
from contextvars import ContextVar

from fastapi_caching_route.purge import Purge, PurgeRequest

logger = logging.getLogger('fastapi_caching_route')

MAX_SHOWN = 20

_IN_A_PURGE: ContextVar[bool] = ContextVar('fastapi_caching_route_in_a_purge', default=False)
"""Whether this code runs inside of a purge, or in a task that has begun there."""


async def call(purge: Purge, request: PurgeRequest) -> None:
    """Purge. It is called in a task of its own, so that it leaves no trace in others."""
    _IN_A_PURGE.set(True)
    await purge(request)


class OwnInvalidations:
    """Tells the invalidations of a purge from others, and warns of the first one."""

    __slots__ = ('_told',)

    def __init__(self) -> None:
        """There was none."""
        self._told = False

    def include(self, names: Sequence[str]) -> bool:
        """Whether a purge is just invalidating these names."""
        if not _IN_A_PURGE.get():
            return False
        if not self._told:
            self._told = True
            logger.warning(
                'purge= has itself invalidated %s: that is done here, but caches in front are not purged of it; '
                'to purge more of them, let it send more tags',
                ', '.join(names[:MAX_SHOWN]),
            )
        return True
