"""One stored page for all visitors, with the name and the CSRF token of each in it, and an `ETag` that is right.

The endpoint writes placeholders, so its page is equal for everyone and is stored once. `Personal` stands outside of the
cache and replaces them: it adds a digest of the visitor's values to the `ETag`, and takes it off `If-None-Match`.

    uvicorn --app-dir examples personal_pages:app
    curl -si localhost:8000/ -H 'Cookie: name=Ada; csrf=1f3a'
"""

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Annotated

from fastapi import APIRouter, Cookie, FastAPI, Form, HTTPException
from fastapi.responses import HTMLResponse
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_caching_route import CachingRoute, FastAPICache

SECRET = os.environ.get('PAGES_SECRET', 'the same in all workers').encode()
NOT_PASSED_ON = (b'if-none-match', b'if-modified-since', b'range', b'if-range')
"""Conditions on the personal page, which the stored page cannot judge; `If-None-Match` is translated."""

Values = Mapping[str, str]


def place(name: str) -> str:
    """The placeholder of a value. Nobody can guess it, so that no comment of a visitor can contain one."""
    return f'[{hmac.new(SECRET, name.encode(), "sha256").hexdigest()}]'


class Personal:
    """Puts the values of each visitor into the pages of an app."""

    def __init__(self, app: ASGIApp, values_of: Callable[[HTTPConnection], Values]) -> None:
        """`values_of` gives the values by the names of their placeholders."""
        self.app, self.values_of = app, values_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on without what is personal, and send the page with it."""
        if scope['type'] != 'http' or scope['method'] not in ('GET', 'HEAD'):
            await self.app(scope, receive, send)
            return
        page = PersonalPage(self.values_of(HTTPConnection(scope)), send, is_head=scope['method'] == 'HEAD')
        await self.app({**scope, 'method': 'GET', 'headers': page.passed_on(scope)}, receive, page.send)


@dataclass
class PersonalPage:
    """One page for one visitor. It is sent when its last byte is there, because its length changes."""

    values: Values
    sends: Send
    is_head: bool
    known: list[str] = field(default_factory=list)
    start: Message = field(default_factory=dict)
    body: bytes = b''

    @property
    def suffix(self) -> str:
        """What the `ETag` says of the values."""
        said = '\0'.join(f'{name}\0{value}' for name, value in sorted(self.values.items()))
        return f'~{hashlib.sha256(said.encode()).hexdigest()[:16]}"'

    def passed_on(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """The headers of the request, in which `If-None-Match` names the stored page if the values are the same."""
        tags = re.findall(r'"[^"]*"', HTTPConnection(scope).headers.get('if-none-match', ''))
        self.known = [tag.removesuffix(self.suffix) + '"' for tag in tags if tag.endswith(self.suffix)]
        passed_on = [*self.known, *(tag for tag in tags if '~' not in tag)]
        headers = [(name, value) for name, value in scope['headers'] if name not in NOT_PASSED_ON]
        return [*headers, (b'if-none-match', ', '.join(passed_on).encode())] if passed_on else headers

    async def send(self, message: Message) -> None:
        """Collect the page, and send it with the values."""
        if message['type'] == 'http.response.start':
            self.start = message
        elif message['type'] == 'http.response.body':
            self.body += message.get('body', b'')
            if not message.get('more_body', False):
                await self.finish()

    async def finish(self) -> None:
        """Send the page."""
        headers = MutableHeaders(raw=list(self.start['headers']))
        body = self.body
        for name, value in self.values.items():
            body = body.replace(place(name).encode(), escape(value).encode())
        if body != self.body or headers.get('etag') in self.known:
            self.make_personal(headers)
        if 'content-length' in headers:
            headers['content-length'] = str(len(body))
        await self.sends({**self.start, 'headers': headers.raw})
        await self.sends({'type': 'http.response.body', 'body': b'' if self.is_head else body})

    def make_personal(self, headers: MutableHeaders) -> None:
        """Let only this visitor keep the page, and ask each time whether it is still the same."""
        tag = headers.get('etag', '')
        if tag.endswith('"'):
            headers['etag'] = tag[:-1] + self.suffix
        headers['cache-control'] = 'private, no-cache'
        headers.add_vary_header('cookie')


router, cache = APIRouter(route_class=CachingRoute), FastAPICache()


@router.get('/', response_class=HTMLResponse)
@cache(ttl=300)
async def page() -> str:
    return (
        f'<p>Hello {place("name")}</p>'
        f'<form method="post" action="/letters"><input type="hidden" name="csrf" value="{place("csrf")}"></form>'
    )


@router.get('/token')
async def token() -> HTMLResponse:
    response = HTMLResponse('<a href="/">Go on</a>')
    response.set_cookie('csrf', secrets.token_urlsafe(16), httponly=True, samesite='lax')
    return response


@router.post('/letters')
async def letters(csrf: Annotated[str, Form()], expected: Annotated[str, Cookie(alias='csrf')]) -> str:
    if not hmac.compare_digest(csrf.encode(), expected.encode()):
        raise HTTPException(403)
    return 'sent'


def values_of(request: HTTPConnection) -> Values:
    return {'name': request.cookies.get('name', 'visitor'), 'csrf': request.cookies.get('csrf', '')}


app = FastAPI()
app.include_router(router)
app.add_middleware(Personal, values_of=values_of)
