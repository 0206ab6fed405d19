"""A route that answers with a given status."""

import asyncio

from fastapi import HTTPException, Response

from tests.support import caching_router, client_of


def answering(status, *, cache, **options):
    """A client of a route that answers with a status, and how often that has run."""
    router, runs = caching_router(), []

    @router.get('/')
    @cache(**options)
    async def endpoint():
        runs.append(1)
        if status >= 400:
            raise HTTPException(status)
        return Response('yes', status)

    return client_of(router), runs


async def async_skip(request):
    await asyncio.sleep(0)
    return request.headers.get('x-preview')
