"""An app that is asked by many at a time, without a server."""

import asyncio
import itertools

from fastapi import FastAPI

from fastapi_caching_route import FastAPICache
from tests.support import asgi_call, asgi_scope, caching_router

namespaces = itertools.count()


class Gate:
    """An endpoint waits here until the test lets it go on."""

    def __init__(self):
        self.reached, self.open = asyncio.Event(), asyncio.Event()

    async def pass_through(self):
        self.reached.set()
        await self.open.wait()


class Waits:
    """A time that passes only as locks wait, whatever the machine takes."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds
        await asyncio.sleep(0)


class App:
    """One app with one cache, asked without a server; nothing may be left when it ends."""

    def __init__(self, backend=None, **options):
        self.cache = FastAPICache(backend, **options)
        self.router = caching_router()
        self.runs = []
        self.gate = None
        self._app = None

    def ask(self, path='/', method='GET', **headers):
        """A request under way."""
        if self._app is None:
            self._app = FastAPI()
            self._app.include_router(self.router)
        fields = [(name.replace('_', '-').encode(), value.encode()) for name, value in headers.items()]
        return asyncio.ensure_future(asgi_call(self._app, asgi_scope(method, path, headers=fields)))

    async def ask_all(self, count, path='/', **headers):
        return await asyncio.gather(*(self.ask(path, **headers) for _ in range(count)))


class Answer:
    def __init__(self, messages):
        start, *bodies = messages
        self.status = start['status']
        self.body = b''.join(it.get('body', b'') for it in bodies)
        self.fields = {name.decode(): value.decode() for name, value in start['headers']}
        self.mark = self.fields.get('x-cache')
        self.said = self.fields.get('cache-status')


def seen(answers):
    return [Answer(it) for it in answers]


async def settled(app, leader_reached, followers):
    """The leader is in its endpoint, and so many wait for it."""
    await leader_reached.wait()
    for _ in range(4000):
        flights = app.cache._settings.runtime.flights._under_way.values()
        if sum(it.followers for it in flights) >= followers:
            return
        await asyncio.sleep(0.005)
    raise AssertionError('they do not wait')


def counting(app, **options):
    """An endpoint that waits at a gate, and says the number of its run."""

    @app.router.api_route('/', methods=['GET', 'HEAD'])
    @app.cache(**{'ttl': 60, **options})
    async def endpoint():
        app.runs.append(1)
        number = len(app.runs)
        if app.gate is not None:
            await app.gate.pass_through()
        return number

    return endpoint
