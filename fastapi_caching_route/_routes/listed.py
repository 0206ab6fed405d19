"""What a cache has stored, for people: entries by what they can be invalidated by.

Knows names and entries; does not know how a store lists them.
"""

import math
import re
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from urllib.parse import unquote

from fastapi_caching_route._backends.outage import in_words
from fastapi_caching_route._core.entry import Headed
from fastapi_caching_route._core.key import root_of
from fastapi_caching_route._http import reuse
from fastapi_caching_route._http.fields import lines
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route._store.visit import Found, Listed, ListedPage
from fastapi_caching_route.entries import EntryInfo
from fastapi_caching_route.errors import CacheError, ConfigurationError

ENOUGH, MAX_PAGES = 100, 20
"""After how many entries, and after how many pages of the store, `page_of` ends."""

_VARIANT = re.compile(r'(.+):[0-9a-f]{16}:[0-9a-f]{32}')
"""The key of a variant: the key of all, their token, and a digest."""


class UnlistableError(ConfigurationError):
    """The backend cannot list what it stores."""


async def entries_of(
    settings: Settings, wanted: Sequence[Collection[str]], route: str | None, *, dead: bool
) -> AsyncGenerator[EntryInfo, None]:
    """The entries of a cache of this route that have one name of each of the `wanted` groups."""
    now = settings.runtime.clock()
    async for page, _ in pages_of(settings):
        for it in _matching(page.entries.values(), wanted, route, now, dead=dead):
            yield it


async def page_of(
    settings: Settings, wanted: Sequence[Collection[str]], route: str | None, *, dead: bool, after: int
) -> tuple[list[EntryInfo], int]:
    """Some of what `entries_of` yields, and where the rest begins; 0 at the end.

    Work is bounded: a page may be empty although there are more.
    """
    found, pages, now = dict[str, EntryInfo](), 0, settings.runtime.clock()
    async with aclosing(pages_of(settings, after)) as listed:
        async for page, following in listed:
            found |= {it.key: it for it in _matching(page.entries.values(), wanted, route, now, dead=dead)}
            pages += 1
            if len(found) >= ENOUGH or pages >= MAX_PAGES:
                return [*found.values()], following
    return [*found.values()], 0


def _matching(
    page: Iterable[Listed], wanted: Sequence[Collection[str]], route: str | None, now: float, *, dead: bool
) -> Iterator[EntryInfo]:
    for it, stale_at in page:
        has_all = all(not set(names).isdisjoint(it.entry.names) for names in wanted)
        if has_all and (stale_at is not None or dead):
            described = described_entry(it, stale_at, now)
            if route is None or described.route == route:
                yield described


def headed(found: Found) -> Listed:
    """An entry that was looked up, as if it had been listed."""
    return Headed(found.entry, len(found.entry.content)), found.stale_at


async def found_under(settings: Settings, key: str) -> Found | None:
    """What is stored under a full key of a cache, and has not been invalidated."""
    found = await settings.store.visit().look_up(key) if key.startswith(_prefix(settings)) else None
    return found if isinstance(found, Found) else None


async def listed_where(settings: Settings, is_it: Callable[[str], bool]) -> Listed | None:
    """The first entry of a cache with such a full key."""
    async with aclosing(pages_of(settings)) as pages:
        async for page, _ in pages:
            for it in page.entries.values():
                if is_it(it[0].entry.key):
                    return it
    return None


async def pages_of(settings: Settings, after: int = 0) -> AsyncGenerator[ListedPage, None]:
    """The entries of a cache, page by page.

    Raises:
        UnlistableError: its backend cannot list them.
        CacheError: it fails.

    """
    async with told_apart(settings):
        async for page in settings.store.listed(_prefix(settings), after):
            yield page


def _prefix(settings: Settings) -> str:
    """How the keys of all its entries begin. A route may have replaced the namespace of the backend."""
    root = root_of(settings.store.namespace)
    return f'{root}:' if root and settings.joins_namespaces else ''


@asynccontextmanager
async def told_apart(settings: Settings) -> AsyncGenerator[None, None]:
    try:
        yield
    except NotImplementedError as error:
        msg = f'{type(settings.backend).__name__} cannot list what it stores ({error}); memory, LMDB and Redis can'
        raise UnlistableError(msg) from None
    except (ConfigurationError, CacheError):
        raise
    except Exception as error:
        msg = f'the cache backend failed: {in_words(error)}'
        raise CacheError(msg) from error


def described_entry(listed: Headed, stale_at: float | None, now: float) -> EntryInfo:
    """An entry as people see it."""
    entry = listed.entry
    age, left = reuse.age_and_left(entry.stored_at, entry.lifetime, math.inf if stale_at is None else stale_at, now)
    coded = entry.coded if entry.coded is not None and entry.coded.coding else None
    of_variant = _VARIANT.fullmatch(entry.key)
    return EntryInfo(
        key=entry.key,
        route=entry.about.route,
        endpoint=_first(entry.names, ('endpoint:', 'function:')).partition('@')[0],
        path=entry.about.path,
        status=entry.status,
        stored_at=entry.stored_at,
        age=age,
        ttl_left=left,
        size=entry.size - len(entry.content) + listed.content_bytes,
        body_bytes=listed.content_bytes if coded is None else coded.body_bytes,
        tags=entry.about.tags,
        coding=coded.coding if coded else b', '.join(lines(entry.headers, b'content-encoding')).decode('latin-1'),
        endpoint_seconds=entry.about.seconds,
        variant_of=None if of_variant is None else of_variant[1],
        is_alive=stale_at is not None,
    )


def _first(names: tuple[str, ...], kinds: tuple[str, ...]) -> str:
    """The text of the first name of these kinds: of the full path template, for endpoints."""
    return next((unquote(it.partition(':')[2]) for it in names if it.startswith(kinds)), '')
