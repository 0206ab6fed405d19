"""What is stored, page by page, and one entry. Shows no key that a user built, and no body without being asked to.

A body is shown at once if everybody may get it. All others are personal.
"""

import logging
from base64 import b64encode
from codecs import getincrementaldecoder
from dataclasses import asdict, replace
from typing import Any

from fastapi_caching_route._core.declared import Declared
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.key import digest, is_declared
from fastapi_caching_route._core.key_names import key_name
from fastapi_caching_route._core.variants import may_be_shown
from fastapi_caching_route._fastapi.effective import reads_raw
from fastapi_caching_route._fastapi.endpoints import name_of
from fastapi_caching_route._fastapi.path_values import PathParameters
from fastapi_caching_route._fastapi.serving import routes_in
from fastapi_caching_route._http.fields import members
from fastapi_caching_route._routes.decoration import decoration_at
from fastapi_caching_route._routes.listed import described_entry, found_under, headed, listed_where, page_of
from fastapi_caching_route._routes.planning import plan_of
from fastapi_caching_route._routes.targets import names_of, names_of_path
from fastapi_caching_route.cache import FastAPICache
from fastapi_caching_route.entries import EntryInfo
from fastapi_caching_route.route import CachingRoute

logger = logging.getLogger('fastapi_caching_route')

MAX_SHOWN = 64 * 1024
"""Bytes of a body."""


async def page(
    cache: FastAPICache, *, route: str | None, path: str | None, tag: str | None, dead: bool, after: int
) -> dict[str, Any]:
    """Some entries, and where the next ones begin; None if there are no more.

    It is a str, because the numbers of JavaScript cannot hold all cursors of Redis.
    """
    settings = cache._settings  # noqa: SLF001, of the package
    wanted = [
        *([] if path is None else [names_of_path(path, prefix=False)]),
        *([] if tag is None else [names_of([tag], None, None, settings)]),
    ]
    found, following = await page_of(settings, wanted, route, dead=dead, after=after)
    return {'entries': [described(it) for it in found], 'next': str(following) if following else None}


def described(it: EntryInfo) -> dict[str, Any]:
    """One entry, without a key that may hold anything."""
    variant_of = None if it.variant_of is None else public_key(it.variant_of)
    return {**asdict(replace(it, key=public_key(it.key), variant_of=variant_of)), 'is_fresh': it.is_fresh}


def public_key(key: str) -> str:
    """The full key; a digest if a user built it, as in the records that observers get."""
    return key if is_declared(key) else f'key:{digest(key_name(key))}'


async def one(cache: FastAPICache, app: Any, key: str, *, personal: bool) -> dict[str, Any] | None:
    """One entry, with what may be shown of it; None if there is none. What is invalidated has no body any more."""
    settings = cache._settings  # noqa: SLF001, of the package
    found = await found_under(settings, key) if is_declared(key) else None
    listed = None if found else await listed_where(settings, lambda full: public_key(full) == key)
    if listed is not None:
        found = await found_under(settings, listed[0].entry.key)
    if found is not None:
        listed = headed(found)
    if listed is None:
        return None
    info = described_entry(*listed, settings.runtime.clock())
    is_personal = not (is_declared(info.key) and _is_for_all(listed[0].entry, info, app))
    if found is None or (is_personal and not personal):
        return {'entry': described(info), 'is_personal': is_personal}
    if is_personal:
        logger.info('the console has shown the body of the entry %s', public_key(info.key))
    body = await settings.runtime.plain_bodies.get(found.entry)
    return {'entry': described(info), 'is_personal': is_personal, **_content(found.entry, body or b'')}


def _is_for_all(entry: Entry, info: EntryInfo, app: Any) -> bool:
    """Whether every client could get this response: nothing may refuse it, and nothing that selects it may be personal.

    What is not known is no: the route may be that of another app.
    """
    vary = [it.lower() for it in members(entry.headers, b'vary')]
    known = [it for _, it in routes_in(app) if _is_of(it, info)]
    declared = [_declared(it) for it in known]
    return bool(declared) and all(
        not it.guards and not it.not_on_hit and may_be_shown(it.inputs, vary, entry.read) for it in declared
    )


def _is_of(effective: Any, info: EntryInfo) -> bool:
    route = getattr(effective, 'original_route', effective)
    if decoration_at(effective) is None or not isinstance(route, CachingRoute):
        return False
    return (effective.path_format, '.'.join(name_of(effective.endpoint))) == (info.route, info.endpoint)


def _declared(effective: Any) -> Declared:
    decoration, route = decoration_at(effective), getattr(effective, 'original_route', effective)
    assert decoration is not None
    parameters, raw = PathParameters(effective), reads_raw(route, CachingRoute)
    return plan_of(decoration, effective, parameters, raw=raw).declared()


def _content(entry: Entry, whole: bytes) -> dict[str, Any]:
    """The headers and the beginning of the body, as text if it is some."""
    body, is_cut = whole[:MAX_SHOWN], len(whole) > MAX_SHOWN
    try:
        text, is_text = getincrementaldecoder('utf-8')().decode(body, final=not is_cut), True
    except UnicodeDecodeError:
        text, is_text = b64encode(body).decode('ascii'), False
    headers = [(name.decode('latin-1'), value.decode('latin-1')) for name, value in entry.headers]
    return {'headers': headers, 'body': text, 'is_text': is_text, 'is_cut': is_cut}
