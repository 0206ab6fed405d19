"""The errors of this package, split by who erred.

Store trouble never raises towards a client; only misuse does, when the app is built.
"""


class CacheError(Exception):
    """Base of every error that this package raises."""


class ConfigurationError(CacheError, ValueError):
    """The application is set up in a way that cannot work; the message names the remedy."""
