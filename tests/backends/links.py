"""An app over one backend, the X-Cache of its responses, and a proxy that counts what is sent."""

import asyncio
import contextlib

from fastapi import FastAPI

from fastapi_caching_route import FastAPICache
from tests.faults import Proxy
from tests.support import asgi_call, asgi_scope, caching_router


def app_of(cache):
    router = caching_router()

    @router.get('/things/{number}')
    @cache(ttl=60, tags=['all'])
    async def endpoint(number: int):
        return number

    return router


@contextlib.contextmanager
def app_on(backend, **options):
    cache, app = FastAPICache(backend, **options), FastAPI()
    app.include_router(app_of(cache))
    yield cache, lambda path='/things/1': asgi_call(app, asgi_scope(path=path))


def mark(answer):
    return (dict(answer[0]['headers']).get(b'x-cache') or b'none').decode()


class Counting(Proxy):
    """Counts what is sent on a connection after the last reply there: commands that are sent together are one trip.

    And how many bytes come back.
    """

    trips = received = waiting = 0

    async def _serve(self, reader, writer):
        far_reader, far_writer = await asyncio.open_connection('127.0.0.1', self.target)
        self._writers |= {writer, far_writer}
        is_replied = True

        async def count():
            nonlocal is_replied
            while chunk := await reader.read(65536):
                self.trips += is_replied
                self.waiting += is_replied
                is_replied = False
                far_writer.write(chunk)

        async def reply():
            nonlocal is_replied
            while chunk := await far_reader.read(65536):
                self.waiting -= not is_replied
                is_replied = True
                self.received += len(chunk)
                writer.write(chunk)

        counting = asyncio.ensure_future(count())
        await reply()
        counting.cancel()
        writer.close()

    async def settled(self):
        """Wait until nothing is sent any more, and all is replied."""
        quiet = 0
        while quiet < 10:
            before = self.trips
            await asyncio.sleep(0.005)
            quiet = quiet + 1 if (self.waiting, self.trips) == (0, before) else 0
