"""Lists of items, each of one user, and apps that cache them."""

from typing import Annotated

from fastapi import FastAPI, Header

from fastapi_caching_route import FastAPICache
from tests.backends.fakes import Elsewhere
from tests.support import caching_router, marks

User = Annotated[str, Header()]


def lists_of(cache):
    """Lists of items, each of one user; and how often they were made."""
    router, items, runs = caching_router(), {'ada': ['ink'], 'bob': ['bread']}, []

    def tag(request):
        return [f'items of {request.headers["user"]}']

    @router.get('/items')
    @cache(ttl=60, tags=tag)
    async def list_items(user: User):
        runs.append(user)
        return items[user]

    return router, items, runs, list_items


def read(client, *users):
    return marks(*(client.get('/items', headers={'user': user}) for user in users))


def shared(**options):
    """A cache over a backend as if outside of the process, and an app with it."""
    backend = Elsewhere(**options)
    cache, app = FastAPICache(backend, store_timeout=1), FastAPI()
    router, items, runs, _ = lists_of(cache)
    app.include_router(router)
    return backend, cache, app, items, runs
