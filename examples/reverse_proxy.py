"""A textbook shared HTTP cache in front of any origin: `ORIGIN=http://127.0.0.1:8080` says which.

The endpoint passes requests on as they are, and responses as they come back; what is stored, for how long, and when the
origin is asked again is decided by the headers of both (RFC 9111). A request with `Cookie` or `Authorization` bypasses
the cache: the key is the URL, and many origins answer by these without saying so. An origin that hangs up, takes too
long or sends what is not HTTP is a 502 or 504, unless a stale response may stand in for it.

The origin has sent `Date` and `Server`, so uvicorn must not send them once more:
`uvicorn reverse_proxy:app --no-date-header --no-server-header`.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
from fastapi import APIRouter, FastAPI, Request, Response

from fastapi_caching_route import CachingRoute, FastAPICache

ORIGIN = os.environ.get('ORIGIN', 'http://127.0.0.1:8080')
METHODS = [
    'GET',
    'HEAD',
    'POST',
    'PUT',
    'PATCH',
    'DELETE',
    'OPTIONS',
    'TRACE',
    'QUERY',
    'PROPFIND',
    'REPORT',
    'SEARCH',
    'M-SEARCH',
    'PURGE',
    'LINK',
    'UNLINK',
]
HOP_BY_HOP = frozenset(
    (
        b'connection',
        b'keep-alive',
        b'proxy-authenticate',
        b'proxy-authorization',
        b'proxy-connection',
        b'te',
        b'trailer',
    )
) | {b'transfer-encoding', b'upgrade'}

FINAL = range(200, 600)

cache = FastAPICache(mode='rfc9111')
router = APIRouter(route_class=CachingRoute)
# No connection is used twice: what an origin sends beyond its Content-Length would be the start of the next response.
client = httpx.AsyncClient(timeout=10, limits=httpx.Limits(max_connections=None, max_keepalive_connections=0))


def url_of(request: Request) -> str:
    """The whole URL as it was sent: `request.url` is made of the decoded path, in which `%2F` and `/` are one."""
    path: bytes = request.scope['raw_path']
    host, target = request.headers.get('host', ''), path + query_of(request)
    return f'{request.url.scheme}://{host}{target.decode("latin-1")}'


def is_personal(request: Request) -> bool:
    """Whether the response may be for one user: no other request must get it."""
    return 'authorization' in request.headers or 'cookie' in request.headers


def end_to_end(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The fields that are for more than one connection (RFC 9110 §7.6.1)."""
    listed = {
        name.strip().lower() for key, value in fields if key.lower() == b'connection' for name in value.split(b',')
    }
    return [(name, value.strip()) for name, value in fields if name.lower() not in HOP_BY_HOP | listed]


@router.api_route('/{path:path}', methods=METHODS, include_in_schema=False)
@cache(key_builder=url_of, skip=is_personal, stale_if_error=3600)
async def forward(request: Request) -> Response:
    target = httpx.URL(ORIGIN).copy_with(raw_path=request.scope['raw_path'] + query_of(request))
    headers = [it for it in end_to_end(request.headers.raw) if it[0] != b'host']
    body = await request.body()
    asked = httpx.Request(request.method, target, headers=headers, content=body or None)
    try:
        answer = await client.send(asked, stream=True)
        try:
            content = b''.join([part async for part in answer.aiter_raw()])
        finally:
            await answer.aclose()
    except httpx.TimeoutException:
        return Response(status_code=504)
    except httpx.TransportError:  # it is down, hangs up, or does not speak HTTP
        return Response(status_code=502)
    if answer.status_code not in FINAL:
        return Response(status_code=502)
    response = Response(content, answer.status_code)
    response.raw_headers = [(name.lower(), value) for name, value in end_to_end(answer.headers.raw)]
    return response


def query_of(request: Request) -> bytes:
    query: bytes = request.scope['query_string']
    return b'?' + query if query else b''


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
    async with client:
        yield


app = FastAPI(lifespan=lifespan, openapi_url=None)
app.include_router(router)
