"""`max_body_size` of FastAPI: a decorated route has the limit that it has without a cache."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Body, FastAPI, Request
from fastapi.testclient import TestClient

from fastapi_caching_route import CachingRoute
from tests.support import FASTAPI, memory_cache

pytestmark = pytest.mark.skipif(FASTAPI < (0, 165), reason='FastAPI has no such limit yet')


def client_of(method, limits, *, cached, included):
    """A client of an app with these limits of app and route, and how often the endpoint has run."""
    app_limit, route_limit = limits
    runs: list[int] = []
    app = FastAPI(max_body_size=app_limit)
    router: APIRouter = APIRouter(route_class=CachingRoute)
    options: dict[str, Any] = {} if included else {'max_body_size': route_limit}

    if method == 'POST':

        async def search(asked: Annotated[dict[str, str], Body()]):
            runs.append(1)
            return asked
    else:

        async def search(request: Request):
            runs.append(1)
            return len(await request.body())

    if cached:
        memory_cache()(ttl=60)(search)
    router.add_api_route('/search', search, methods=[method], **options)
    app.include_router(router, **({'max_body_size': route_limit} if included else {}))
    return TestClient(app), runs


BODY = b'{"text": "%s"}' % (b'x' * 50)


def ask(client, method, stream):
    content = iter([BODY[:30], BODY[30:]]) if stream else BODY
    return client.request(method, '/search', content=content, headers={'content-type': 'application/json'})


@pytest.mark.parametrize('method', ['POST', 'GET', 'QUERY'])
@pytest.mark.parametrize('limits', [(10, 1000), (1000, 10), (None, 10), (10, None), (None, 1000)])
@pytest.mark.parametrize('included', [False, True])
@pytest.mark.parametrize('stream', [False, True], ids=['with Content-Length', 'without'])
def test_a_body_may_be_as_long_as_the_route_lets_it(method, limits, included, stream):
    plain, plain_runs = client_of(method, limits, cached=False, included=included)
    cached, runs = client_of(method, limits, cached=True, included=included)
    want = ask(plain, method, stream)
    answers = [ask(cached, method, stream) for _ in range(2)]
    assert [(it.status_code, it.content) for it in answers] == [(want.status_code, want.content)] * 2
    # Where the endpoint itself reads the body, each request with a body that is too long reaches it. That of a QUERY is
    # read before it, for the key.
    reached = len(plain_runs) if method != 'QUERY' or want.status_code == 200 else 0
    assert len(runs) == reached * (1 if want.status_code == 200 else 2)
    assert want.status_code == (200 if (limits[1] or limits[0]) == 1000 else 413)
