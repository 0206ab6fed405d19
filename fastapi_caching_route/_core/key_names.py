"""The name of a key: one of the names of each entry, although few entries list it. Pure."""

from fastapi_caching_route._core.key import shortened

OF_KEY = 'key:'


def key_name(full_key: str) -> str:
    """The name of the entries under one full key."""
    return shortened(f'{OF_KEY}{full_key}')


def with_key(names: tuple[str, ...], key: str) -> tuple[str, ...]:
    """All names of an entry: that of the full key under which it was made counts, too, although few list it."""
    return names if any(it.startswith(OF_KEY) for it in names) else (*names, key_name(key))


def is_of_key(name: str) -> bool:
    """Whether this is the name of a key."""
    return name.startswith(OF_KEY)
