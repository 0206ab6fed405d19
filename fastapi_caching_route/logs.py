"""`logging_observer()`: an observer that writes what it is told to a log. Knows records; knows nothing of requests."""

import logging
from typing import Annotated

from typing_extensions import Doc

from fastapi_caching_route.events import Event, Evicted, Invalidated, Observer, Responded


def logging_observer(
    logger: Annotated[logging.Logger | None, Doc('None: `fastapi_caching_route.responses`.')] = None,
    *,
    level: Annotated[int, Doc('Of all lines but those of errors, which are warnings.')] = logging.DEBUG,
) -> Observer:
    """An observer that logs each response of a cached route, each invalidation and each eviction.

    Outages are logged without it. A line has the route and the cache key; a key that a `key_builder` made is a
    digest.
    """
    log = logging.getLogger('fastapi_caching_route.responses') if logger is None else logger

    def observer(event: Event) -> None:
        match event:
            case Responded():
                used = logging.WARNING if event.outcome == 'error' else level
                log.log(used, '%s %s: %s', event.method, event.route, _Line(event))
            case Invalidated():
                how = 'made stale' if event.soft else 'invalidated'
                later = ', and pending: the backend has not accepted it yet' if event.is_pending else ''
                log.log(level, '%s: %s%s', how, ', '.join(event.names), later)
            case Evicted():
                log.log(level, 'evicted: %d of %s, %d bytes', event.entries, event.store, event.bytes)
            case _:
                pass

    return observer


class _Line:
    """The outcome of a request, in words; made only if the line is written."""

    __slots__ = ('_told',)

    def __init__(self, told: Responded) -> None:
        self._told = told

    def __str__(self) -> str:
        told = self._told
        parts = [
            told.outcome if told.reason is None else f'{told.outcome} ({told.reason})',
            str(told.status),
            f'{told.bytes} bytes in {told.seconds * 1000:.1f} ms',
            *([] if told.age is None else [f'age {told.age:.0f} s']),
            *(['stored'] if told.stored else []),
            *([] if told.key is None else [f'key {told.key}']),
        ]
        return ', '.join(parts)
