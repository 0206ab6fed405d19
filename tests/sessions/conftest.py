"""Stores of each kind for sessions and states, and an app in which clients sign in."""

import time
from contextlib import contextmanager

import pytest
from aiocache import MemcachedCache, RedisCache, SimpleMemoryCache
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import RedirectResponse
from starlette.testclient import TestClient

from fastapi_caching_route import CachingRoute, FastAPICache, LMDBCache, MemoryCache
from fastapi_caching_route.redis import RedisClientCache
from fastapi_caching_route.sessions import (
    OptionalSession,
    SessionConfig,
    SessionDep,
    Sessions,
    SessionUser,
)
from tests.support import Clock

SECRET = 'a secret of at least thirty-two bytes'
KINDS = ('memory', 'simple', 'lmdb', 'redis', 'redis-client', 'memcached')


def config(**options):
    return SessionConfig(**{'secrets': SECRET, **options})


@pytest.fixture(params=KINDS)
def store_kind(request):
    return request.param


@pytest.fixture
def new_store(request, store_kind, namespace, tmp_path):
    """Builds a backend of this kind, each time over the same store."""
    if store_kind in {'memory', 'simple'}:
        made = MemoryCache() if store_kind == 'memory' else SimpleMemoryCache()
        return lambda: made
    if store_kind == 'lmdb':
        return lambda: LMDBCache(tmp_path / 'lmdb', max_bytes=16 * 1024 * 1024, namespace=namespace)
    port = request.getfixturevalue('memcached_port' if store_kind == 'memcached' else 'redis_port')
    return {
        'redis': lambda: RedisCache(endpoint='127.0.0.1', port=port, namespace=namespace),
        'redis-client': lambda: RedisClientCache(f'redis://127.0.0.1:{port}', namespace=namespace),
        'memcached': lambda: MemcachedCache(endpoint='127.0.0.1', port=port, namespace=namespace),
    }[store_kind]


@pytest.fixture
def store(new_store):
    return new_store()


@pytest.fixture
def now():
    """The time, which a test may set; JSON Web Tokens have that of the system."""
    return Clock(time.time())


def impatient(place):
    """Wait no longer for a store that was used before: it hangs from now on."""
    place._timeout = 0.3
    if place._records is not None:
        place._records._timeout = 0.3


class Shop:
    """An app with sessions: who signs in, what they note, and what is cached."""

    def __init__(self, store=None, *, cache=None, clock=time.time, installed=True, tags=(), timeout=5.0, **options):
        self.cache = cache or FastAPICache(MemoryCache() if store is None else store)
        self.sessions = Sessions(
            store=self.cache, config=config(**options), clock=clock, sign_out_tags=tags, timeout=timeout
        )
        self.app, self.router = FastAPI(), APIRouter(route_class=CachingRoute)
        self.runs = []
        self.events = []
        for kind in ('created', 'renewed', 'regenerated', 'ended', 'expired', 'refused'):
            getattr(self.sessions, f'on_{kind}')(self.events.append)
        if installed:
            self.sessions.install(self.app)
        self._add_routes()

    def _add_routes(self):
        router, sessions = self.router, self.sessions

        @router.post('/login')
        async def log_in(request: Request, user: str = '', role: str = ''):
            who = SessionUser(id=user, roles=role.split()) if user else None
            session = await sessions.create(request, user=who)
            return RedirectResponse('/me', 303, {'x-token': session.token})

        @router.get('/me')
        async def me(session: SessionDep):
            return {'user': None if session.user is None else session.user.id, 'data': session.data, 'id': session.id}

        @router.get('/who')
        async def who(session: OptionalSession):
            return None if session is None else session.user and session.user.id

        @router.post('/note')
        async def note(request: Request, session: SessionDep):
            await session.update(await request.json())

        @router.post('/sign-in')
        async def sign_in(session: SessionDep, user: str):
            await session.sign_in(user)

        @router.post('/regenerate')
        async def regenerate(session: SessionDep):
            await session.regenerate()

        @router.post('/logout')
        async def log_out(session: SessionDep):
            await session.invalidate()
            return RedirectResponse('/', 303)

    @property
    def kinds(self):
        return [(it.kind, it.reason) for it in self.events]

    def client(self, **options):
        if self.router is not None:
            self.app.include_router(self.router)
            self.router = None
        return TestClient(self.app, base_url='https://shop.example', follow_redirects=False, **options)

    @contextmanager
    def browser(self, user=None, **options):
        """A browser in which this user has signed in, if one is given."""
        with self.client(**options) as client:
            if user is not None:
                client.post(f'/login?user={user}')
            yield client
