"""What would become of a request for one URL.

Matches routes of this app only. Runs no endpoint, and fetches nothing.
"""

from dataclasses import asdict
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from fastapi import HTTPException
from msgspec import Struct
from starlette.routing import Host, Mount

from fastapi_caching_route._console.listing import described, public_key
from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.asgi import Scope
from fastapi_caching_route._exchange.forecast import Forecast, forecast
from fastapi_caching_route._exchange.plan import Plan
from fastapi_caching_route._fastapi.effective import effective_route
from fastapi_caching_route._fastapi.key_parts import refused_parameters
from fastapi_caching_route._fastapi.serving import route_at
from fastapi_caching_route._routes.listed import described_entry, headed
from fastapi_caching_route.explain import report_on
from fastapi_caching_route.route import CachingRoute


class Asked(Struct, frozen=True, forbid_unknown_fields=True):
    """A request that is only examined, and not sent."""

    url: str
    """A path with its query, or a whole URL."""
    method: str = 'GET'
    headers: dict[str, str] = {}
    body: str = ''


async def outlook(asked: Asked, console: Scope) -> dict[str, Any]:
    """What would become of it. `console` is the scope of the request that asks.

    Raises:
        HTTPException: this can be no request.

    """
    scope = scope_of(asked, console)
    route, reached = route_at(scope)
    if route is None:
        return {'fate': 'no route', 'text': 'No route of this app matches this path: 404.'}
    if isinstance(route, Mount | Host):
        return {'fate': 'not cached', 'text': 'An app of another framework is mounted there.'}
    effective = effective_route(route, reached) if hasattr(route, 'dependant') else route
    report = report_on(_mounts(reached), effective)
    found = {'report': asdict(report), 'guards': report.guards, 'not_run_on_hits': report.not_run_on_hits}
    if report.methods and scope['method'] not in report.methods:
        return {**found, 'fate': 'no route', 'text': f'This path allows {", ".join(report.methods)} only: 405.'}
    if not report.cached or not isinstance(route, CachingRoute):
        return {**found, 'fate': 'not cached', 'text': f'This route is not cached: {report.why_not}.'}
    expected = await _expected(route.reached_by(reached).plan, reached, asked.body.encode())
    refused = refused_parameters(effective, reached) if expected['fate'] == 'miss' else []
    if refused:
        text = f'It would be refused (422). Missing, or not valid: {", ".join(refused)}.'
        expected |= {'fate': 'refused', 'text': text}
    return {**found, **expected}


THE_STORE = 'the store, which is failing, so that nothing is found'


async def _expected(plan: Plan | None, scope: Scope, body: bytes) -> dict[str, Any]:
    assert plan is not None
    expected = await forecast(plan, plan.declared(), scope, body)
    found, store, now = expected.found, plan.runtime.store, plan.runtime.clock()
    return {
        'fate': expected.fate,
        'text': _in_words(expected),
        'key': None if expected.key is None else public_key(expected.key),
        'entry': None if found is None else described(described_entry(*headed(found), now)),
        'depends_on': (*expected.provided, *([THE_STORE] if store.condition().failed_at is not None else [])),
    }


def scope_of(asked: Asked, console: Scope) -> Scope:
    """The request as the app would get it from its server.

    Raises:
        HTTPException: this can be no request.

    """
    try:
        parts = urlsplit(asked.url)
        headers = [(name.strip().lower().encode('ascii'), it.encode('latin-1')) for name, it in asked.headers.items()]
        raw_path, query = (quote(it, safe=_OF_URLS).encode('ascii') for it in (parts.path, parts.query))
        host = parts.netloc.encode('ascii' if parts.netloc.isascii() else 'idna')
    except ValueError as error:
        raise HTTPException(422, f'this is no URL, or no header: {error}') from None
    if not any(name == b'host' for name, _ in headers):
        own = [it for it in console['headers'] if it[0] == b'host']
        headers = [*([(b'host', host)] if host else own), *headers]
    kept = {name: console[name] for name in _OF_THE_SERVER if name in console}
    path, root = _path(unquote(parts.path) or '/', console)
    return {
        **kept,
        'method': asked.method.upper(),
        'scheme': parts.scheme or console.get('scheme', 'http'),
        'path': path,
        'raw_path': raw_path,
        'query_string': query,
        'root_path': root,
        'headers': headers,
        'client': None,
        'state': {},
    }


_OF_URLS = "%/:?#[]@!$&'()*+,;=-._~"
"""What stays as it is in a URL. A browser encodes all else, such as umlauts."""

_OF_THE_SERVER = ('type', 'asgi', 'http_version', 'server', 'router', 'app')


def _path(path: str, console: Scope) -> tuple[str, str]:
    """The path, and the prefix of a proxy: it is in the path if it is in the path of the console's own request."""
    if not path.startswith('/'):
        raise HTTPException(422, 'the path must begin with a slash')
    root: str = console.get('app_root_path', console.get('root_path', ''))
    is_in_paths = bool(root) and console['path'].startswith(f'{root}/')
    return (root + path if is_in_paths and not path.startswith(f'{root}/') else path), root


def _mounts(reached: Scope) -> str:
    """The path of the mounts in which a route is, as the request has it."""
    return str(reached.get('root_path', '')).removeprefix(
        str(reached.get('app_root_path', reached.get('root_path', '')))
    )


_OF_ENTRIES = {
    'hit': 'The entry would be sent, and the endpoint would not run.',
    'stale': 'A stale entry would be sent, and the endpoint would not run for this request.',
}
_OF_MISSES = {
    'uri-miss': 'No entry is stored under its cache key: the endpoint would run.',
    'vary-miss': 'Only other responses are stored under its cache key: the endpoint would run.',
    'stale': 'The entry is stale: the endpoint would run.',
    'request': 'The request does not accept the entry: the endpoint would run.',
    'only-if-cached': 'The request accepts only a stored response, and none can be used: 504.',
}
_OF_THE_UNKNOWN = {
    'key_builder': 'key_builder makes its cache key, and the console runs no code of the app.',
    'identity': 'identity or a session is part of its cache key, and the console runs no code of the app.',
}
_WAITS = ' It is already running for another request: this one would wait for that response.'


def _in_words(expected: Forecast) -> str:
    reason = expected.reason or ''
    match expected.fate:
        case 'hit' | 'stale' as fate:
            return _OF_ENTRIES[fate] + (' It would be renewed after that.' if expected.is_renewed else '')
        case 'miss':
            return _OF_MISSES[reason] + (_WAITS if expected.is_under_way else '')
        case 'unknown':
            return _OF_THE_UNKNOWN[reason]
        case _:
            meaning = reasons.named(reason).meaning or 'responses to this method are not cached'
            return f'It would bypass the cache ({reason}): {meaning}.'
