"""A textbook shared cache in front of an app: our own `mode='rfc9111'`, keyed by URL, in this process."""

from fastapi import FastAPI, Request, Response

from fastapi_caching_route import FastAPICache
from tests.support import asgi_call, caching_router


def in_front_of(app):
    """The app, seen through the cache."""
    cache = FastAPICache(mode='rfc9111', cache_status='front', cache_header='X-Front')
    router = caching_router()

    @router.api_route('/{path:path}', methods=['GET', 'HEAD', 'QUERY', 'POST', 'PUT', 'DELETE'])
    @cache(key_builder=lambda request: f'{request.url} {request.scope["raw_path"]!r}')
    async def forward(request: Request) -> Response:
        inner = {
            name: request.scope[name] for name in ('type', 'asgi', 'http_version', 'scheme', 'root_path', 'client')
        }
        inner |= {name: request.scope[name] for name in ('method', 'path', 'raw_path', 'query_string', 'server')}
        inner |= {'headers': list(request.scope['headers']), 'state': {}}
        sent = await asgi_call(app, inner, await request.body())
        response = Response(b''.join(it.get('body', b'') for it in sent), sent[0]['status'])
        response.raw_headers = [it for it in sent[0]['headers'] if it[0] != b'content-length']
        return response

    front = FastAPI(openapi_url=None)
    front.include_router(router)
    return front
