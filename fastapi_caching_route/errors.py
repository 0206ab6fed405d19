"""The errors of this package.

Only misuse raises, as a rule when the app is built. Trouble with the backend never reaches a client.
"""


class CacheError(Exception):
    """Base of every error that this package raises."""


class ConfigurationError(CacheError, ValueError):
    """The application is set up in a way that cannot work; the message names the remedy."""
