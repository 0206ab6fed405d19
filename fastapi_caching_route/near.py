"""`NearCopies`: copies of entries in the process, in front of a backend that other processes share."""

from dataclasses import dataclass
from typing import Annotated

from typing_extensions import Doc

from fastapi_caching_route._core.checks import check_positive
from fastapi_caching_route.errors import ConfigurationError


@dataclass(frozen=True)
class NearCopies:
    """Keep copies of entries in this process, in front of Redis, memcached or another backend outside of it.

        FastAPICache(RedisCache(endpoint='10.0.0.1'), near=NearCopies())
        FastAPICache(RedisCache(endpoint='10.0.0.1'), near=NearCopies(trust=0.1))

    With `trust=0`, each use of a copy is preceded by one small read of the backend, which all requests of one turn of
    the event loop share. It says whether anything was invalidated, so no copy is used after an invalidation has
    returned, in any process. The size of the response does not matter.

    With `trust` above 0, that read need not be repeated for that many seconds: hits are then as fast as in memory. An
    invalidation by this process is effective at once, one by another process after at most `trust` seconds.

    A copy is used while it is fresh. An entry that another process has renewed or replaced without an invalidation is
    noticed when the copy has expired. With `MemoryCache` and `LMDBCache`, which are as fast, no copies are kept.

    Raises:
        ConfigurationError: `max_bytes` is not positive, or `trust` is negative.

    """

    max_bytes: Annotated[int, Doc('Bytes that all copies may take together in each process.')] = 64 * 1024 * 1024
    trust: Annotated[float, Doc('Seconds until an invalidation by another process is noticed, at most.')] = 0.0

    def __post_init__(self) -> None:
        """Check the values."""
        check_positive('max_bytes', self.max_bytes)
        if isinstance(self.trust, bool) or not isinstance(self.trust, int | float) or not 0 <= self.trust <= MAX_TRUST:
            msg = f'trust must be a number of seconds from 0 to {MAX_TRUST:g}, got {self.trust!r}'
            raise ConfigurationError(msg)


MAX_TRUST = 60.0
"""With more seconds, a short ttl does the same without a shared backend."""
