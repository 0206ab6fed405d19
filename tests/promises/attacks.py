"""A client of an app on any backend, for attacks."""

from contextlib import contextmanager

from fastapi import FastAPI
from fastapi.security import APIKeyHeader
from starlette.testclient import TestClient

from tests.support import closing

key_header = APIKeyHeader(name='X-Key', auto_error=False)


@contextmanager
def attacked(backend, *routers, middleware=(), **options):
    """A client of an app whose routes are cached in this backend; the backend is closed in the loop that used it."""
    app = FastAPI()
    for router in routers:
        app.include_router(router, **options)
    for kind, arguments in middleware:
        app.add_middleware(kind, **arguments)
    with TestClient(app) as client:
        yield client
        client.portal.call(closing, backend)
