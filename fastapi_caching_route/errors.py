"""The errors of this package.

Misuse raises, as a rule when the app is built. Of trouble with the backend only who invalidates hears, since it has to know.
"""


class CacheError(Exception):
    """Base of every error that this package raises."""


class ConfigurationError(CacheError, ValueError):
    """The application is set up in a way that cannot work; the message names the remedy."""


class InvalidationError(CacheError):
    """An invalidation could not be written to the store. It is tried again until it is, and counts in this process."""
