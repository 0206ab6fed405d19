"""Endpoints that read raw requests in made-up ways: conditions, dependencies, threads, templates, streams.

Each reading is a name and a function of the request that returns what it has seen, as text.
"""

import asyncio
import copy
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated, Any

import jinja2
from fastapi import Cookie, Depends, Header, Query, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.templating import Jinja2Templates
from starlette.background import BackgroundTask
from starlette.requests import HTTPConnection

TEMPLATES = Jinja2Templates(
    env=jinja2.Environment(
        loader=jinja2.DictLoader(
            {
                'cookie.html': '{{ request.cookies.a }}',
                'cookie_get.html': '{{ request.cookies.get("a", "none") }}',
                'cookie_item.html': '{{ request.cookies["b"] }}',
                'cookie_in.html': '{% if "a" in request.cookies %}yes{% endif %}',
                'cookies.html': '{% for name in request.cookies %}{{ name }},{% endfor %}',
                'cookies_json.html': '{{ request.cookies | tojson }}',
                'header.html': '{{ request.headers["x-a"] }}{{ request.headers.get("x-b") }}',
                'headers.html': '{% for name, value in request.headers.items() %}{{ name }}={{ value }};{% endfor %}',
                'query.html': '{{ request.query_params.a }}{{ request.query_params.get("b") }}',
                'url.html': '{{ url_for("page", item="x") }}',
                'whole_url.html': '{{ request.url }}',
                'path.html': '{{ request.url.path }}',
                'client.html': '{{ request.client.host }}',
                'state.html': '{{ request.state.tenant }}',
                'nothing.html': 'the same for all',
            }
        ),
        autoescape=True,
    )
)
BEARER, KEY = HTTPBearer(auto_error=False), APIKeyHeader(name='x-key', auto_error=False)


class OwnBearer(HTTPBearer):
    async def __call__(self, request: Request) -> Any:
        found = await super().__call__(request)
        return None if found is None else found.credentials


def template(name: str) -> Callable[[Any], str]:
    return lambda request: bytes(TEMPLATES.TemplateResponse(request, name).body).decode()


def held_cookies(request: Any) -> str:
    cookies = request.cookies
    return f'{cookies.get("a")}{cookies.get("b")}'


def held_client(request: Any) -> str:
    client = request.client
    return client.host if client else ''


def in_thread(request: Any) -> str:
    with ThreadPoolExecutor(1) as pool:
        return str(pool.submit(lambda: request.headers.get('x-c')).result())


def by_attribute(request: Any) -> str:
    return str(getattr(request, 'headers').get('x-a'))  # noqa: B009, on purpose


def unpacked(request: Any) -> str:
    host, _port = request.client or ('', 0)
    return str(host)


READINGS: dict[str, Callable[[Any], str]] = {
    'header': lambda request: str(request.headers.get('x-a')),
    'header item': lambda request: ('x-b' in request.headers and request.headers['x-b']) or 'none',
    'header in': lambda request: str('X-A' in request.headers),
    'header lines': lambda request: str(request.headers.getlist('x-c')),
    'header keys': lambda request: str(request.headers.keys()),
    'header values': lambda request: str(request.headers.values()),
    'header items': lambda request: str(request.headers.items()),
    'header raw': lambda request: str(request.headers.raw),
    'headers iterated': lambda request: str(sorted(request.headers)),
    'headers counted': lambda request: str(len(request.headers)),
    'headers shown': lambda request: repr(request.headers),
    'headers compared': lambda request: (
        str(request.headers == request.headers.mutablecopy()) + str(dict(request.headers))
    ),
    'headers copied': lambda request: str(copy.copy(request.headers)),
    'headers in dict': lambda request: str({**request.headers}),
    'headers by attribute': by_attribute,
    'scope headers': lambda request: str(request.scope['headers']),
    'scope get headers': lambda request: str(request.scope.get('headers')),
    'scope copied': lambda request: str(dict(request.scope)['headers']),
    'scope spread': lambda request: str({**request.scope}['query_string']),
    'scope items': lambda request: str([value for name, value in request.scope.items() if name == 'query_string']),
    'scope or': lambda request: str((request.scope | {})['headers']),
    'scope whole': lambda request: str(copy.copy(request.scope)['headers']),
    'scope client': lambda request: str(request.scope['client'][0]),
    'scope server': lambda request: str(request.scope['server']),
    'scope of middleware': lambda request: str(request.scope.get('plan')),
    'scope in': lambda request: str('plan' in request.scope),
    'mapping': lambda request: str(request['headers']),
    'mapping get': lambda request: str(request.get('query_string')),
    'mapping items': lambda request: str([value for name, value in request.items() if name == 'query_string']),
    'raw path': lambda request: str(request.scope['raw_path']),
    'http version': lambda request: str(request.scope['http_version']),
    'cookie': lambda request: str(request.cookies.get('a')),
    'cookie item': lambda request: ('b' in request.cookies and request.cookies['b']) or 'none',
    'cookies': lambda request: str(request.cookies),
    'cookies in dict': lambda request: str(dict(request.cookies)),
    'cookies as JSON': lambda request: json.dumps(request.cookies),
    'cookies held': held_cookies,
    'cookies counted': lambda request: str(len(request.cookies)),
    'cookies tested': lambda request: 'some' if request.cookies else 'none',
    'cookie header': lambda request: str(request.headers.get('cookie')),
    'query': lambda request: str(request.query_params.get('a')),
    'query item': lambda request: ('b' in request.query_params and request.query_params['b']) or 'none',
    'query list': lambda request: str(request.query_params.getlist('a')),
    'query items': lambda request: str(request.query_params.multi_items()),
    'query text': lambda request: str(request.query_params),
    'query counted': lambda request: str(len(request.query_params)),
    'query string': lambda request: str(request.scope['query_string']),
    'url': lambda request: str(request.url),
    'url query': lambda request: request.url.query,
    'url host': lambda request: str(request.url.hostname),
    'url place': lambda request: str(request.url.netloc),
    'url scheme': lambda request: request.url.scheme,
    'url secure': lambda request: str(request.url.is_secure),
    'url path': lambda request: request.url.path,
    'url changed': lambda request: str(request.url.replace(fragment='x')),
    'url added': lambda request: str(request.url.include_query_params(page=2)),
    'base url': lambda request: str(request.base_url),
    'url for': lambda request: str(request.url_for('page', item='x')),
    'client': lambda request: request.client.host if request.client else 'none',
    'client held': held_client,
    'client unpacked': unpacked,
    'client item': lambda request: request.client[0] if request.client else 'none',
    'client or nobody': lambda request: str((request.client or ('', 0))[1]),
    'client and port': lambda request: str(request.client and request.client.port),
    'client named': lambda request: str(client[1]) if (client := request.client) else 'none',
    'client unless none': lambda request: 'none' if request.client is None else str(request.client[1]),
    'client by attribute': lambda request: str(getattr(request.client, 'port', None)),
    'session': lambda request: str(request.session.get('name')),
    'sessions': lambda request: str(dict(request.session)),
    'scope session': lambda request: str(request.scope['session']),
    'user': lambda request: request.user.display_name,
    'scope user': lambda request: request.scope['user'].display_name,
    'auth': lambda request: str(request.auth.scopes),
    'state': lambda request: str(request.state.tenant),
    'state by attribute': lambda request: str(getattr(request.state, 'tenant', None)),
    'scope state': lambda request: str(request.scope['state'].get('tenant')),
    'method': lambda request: request.method,
    'path': lambda request: request.scope['path'] + str(request.path_params),
    'thread': in_thread,
    'nothing': lambda request: request.app.title,
    **{f'template {name}': template(name) for name in TEMPLATES.env.loader.list_templates()},  # type: ignore[union-attr]
}
"""The ways to read a request, each by its name."""

PLACES = ('endpoint', 'def', 'await', 'dependency', 'connection', 'nested', 'guard', 'stream', 'response', 'background')
SLOW_PLACES = ('await', 'dependency', 'awaited guard')
"""Those that can await a body."""


async def body(request: Any) -> str:
    return str(await request.body())


async def streamed(request: Any) -> str:
    return str(b''.join([it async for it in request.stream()]))


async def received(request: Any) -> str:
    return str((await request.receive()).get('body'))


async def as_json(request: Any) -> str:
    try:
        return str(await request.json())
    except json.JSONDecodeError:
        return 'no JSON'


async def as_form(request: Any) -> str:
    return str((await request.form()).multi_items())


async def in_form(request: Any) -> str:
    async with request.form() as form:
        return str(form.get('a'))


BODIES: dict[str, Callable[[Any], Awaitable[str]]] = {
    'body': body,
    'stream': streamed,
    'receive': received,
    'JSON': as_json,
    'form': as_form,
    'in form': in_form,
}
"""The ways to read the body of a request."""


DECLARED: dict[str, tuple[Any, object]] = {
    'x_a': (Annotated[int, Header()], 1),
    'x_b': (Annotated[str, Header()], '1'),
    'x_c': (Annotated[list[int] | None, Header()], None),
    'cookie': (Annotated[str | None, Header()], None),
    'b': (Annotated[int, Cookie()], 1),
    'a': (Annotated[int, Query()], 1),
}
"""Parameters, each with its default, of what is also read raw: a key has less of them than code can read."""


@dataclass(frozen=True)
class Step:
    """A reading; what follows depends on what was read."""

    reading: str
    here: tuple['Step', ...] = ()
    """What follows if it has read something with an even number of characters."""
    there: tuple['Step', ...] = ()
    """What follows otherwise."""

    def run(self, request: Any) -> str:
        seen = READINGS[self.reading](request)
        return '|'.join([f'{self.reading}={seen}', *(it.run(request) for it in self.following(seen))])

    async def run_slowly(self, request: Any) -> str:
        seen = await BODIES[self.reading](request) if self.reading in BODIES else READINGS[self.reading](request)
        await asyncio.sleep(0)
        return '|'.join([f'{self.reading}={seen}', *[await it.run_slowly(request) for it in self.following(seen)]])

    def following(self, seen: str) -> tuple['Step', ...]:
        return self.here if sum(map(ord, seen)) % 2 == 0 else self.there


@dataclass
class Made:
    """A made-up endpoint."""

    steps: dict[str, Step]
    """What is read at each place."""
    scheme: Any = None
    method: str = 'GET'
    declared: tuple[str, ...] = ()
    """The parameters that it declares, besides."""
    dependencies: list[Any] = field(default_factory=list)

    def endpoint(self) -> Any:
        steps = self.steps

        def below(request: Request) -> str:
            return steps['nested'].run(request) if 'nested' in steps else ''

        async def dependency(request: Request, inner: Annotated[str, Depends(below)]) -> str:
            return inner + (await steps['dependency'].run_slowly(request) if 'dependency' in steps else '')

        def of_connection(connection: HTTPConnection) -> str:
            return steps['connection'].run(connection)

        def guard(request: Request) -> None:
            request.state.by_guard = steps['guard'].run(request)

        async def awaited_guard(request: Request) -> None:
            before = getattr(request.state, 'by_guard', '')
            request.state.by_guard = before + await steps['awaited guard'].run_slowly(request)

        async def answer(request: Request, given: str) -> Any:
            seen = given + (request.state.by_guard if self.dependencies else '')
            if 'endpoint' in steps:
                seen += steps['endpoint'].run(request)
            if 'await' in steps:
                seen += await steps['await'].run_slowly(request)
            if 'def' in steps:
                seen += await asyncio.to_thread(steps['def'].run, request)
            if 'response' in steps:
                return OwnResponse(seen, steps['response'])
            if 'stream' in steps:
                return StreamingResponse(stream(request, seen, steps['stream']))
            if 'background' in steps:
                return PlainTextResponse(seen, background=BackgroundTask(steps['background'].run, request))
            return HTMLResponse(seen)

        more = {'inner': Annotated[str, Depends(dependency)]} if {'dependency', 'nested'} & set(steps) else {}
        more |= {'of': Annotated[str, Depends(of_connection)]} if 'connection' in steps else {}
        more |= {'token': Annotated[Any, Depends(self.scheme)]} if self.scheme is not None else {}
        guards = {'guard': guard, 'awaited guard': awaited_guard}
        self.dependencies = [Depends(it) for place, it in guards.items() if place in steps]

        async def page(request: Request, **given: Any) -> Any:
            return await answer(request, ''.join(str(given[name]) for name in sorted(given)))

        kinds = {name: (kind, inspect.Parameter.empty) for name, kind in {'request': Request, **more}.items()}
        kinds |= {name: DECLARED[name] for name in self.declared}
        page.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
                for name, (kind, default) in kinds.items()
            ]
        )
        return page


async def stream(request: Any, seen: str, step: Step) -> AsyncIterator[str]:
    yield seen + '\n'
    await asyncio.sleep(0)
    yield step.run(request)


class OwnResponse(Response):
    """A response of the user's that reads the scope when it is sent."""

    def __init__(self, seen: str, step: Step) -> None:
        super().__init__(seen)
        self.step = step

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        text = self.body.decode() + self.step.run(Request(scope))
        await PlainTextResponse(text)(scope, receive, send)
