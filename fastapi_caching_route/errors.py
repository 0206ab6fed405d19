"""The errors of this package.

Misuse raises, usually when the app is built. Backend failures raise only from invalidation methods; everywhere else
they are logged.
"""


class CacheError(Exception):
    """Base of every error that this package raises."""


class ConfigurationError(CacheError, ValueError):
    """The application is set up in a way that cannot work; the message names the remedy."""


class InvalidationError(CacheError):
    """A backend did not take an invalidation. It is retried until it succeeds, and already applies in this process."""


class LockError(CacheError):
    """A lock of `cache.lock(...)` could not be taken, or could not be kept."""


class LockTimeoutError(LockError, TimeoutError):
    """The lock was not free in time, or the backend failed all the while."""


class LockLostError(LockError):
    """The lock was lost before its holder was done: another holder may have it. The message says why."""
