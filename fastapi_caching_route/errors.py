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
