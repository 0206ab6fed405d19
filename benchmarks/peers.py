"""The same endpoint behind other caches for FastAPI, as far as they are installed (`--group peers`)."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from fastapi import APIRouter


def peers(answer: Callable[..., Any]) -> Iterator[tuple[str, Callable[[Any], APIRouter]]]:
    """Their names, and for each a router that answers from memory, as its own documentation has it."""
    with suppress(ImportError):
        from fastapi_cache import FastAPICache  # noqa: PLC0415
        from fastapi_cache.backends.inmemory import InMemoryBackend  # noqa: PLC0415
        from fastapi_cache.decorator import cache  # noqa: PLC0415

        def of_cache2(_backend: Any) -> APIRouter:
            FastAPICache.init(InMemoryBackend())
            router = APIRouter()
            router.get('/case')(cache(expire=3600)(answer))
            return router

        yield 'fastapi-cache2', of_cache2
    with suppress(ImportError):
        import fastapi_cachex  # noqa: PLC0415
        from fastapi_cachex.backends import MemoryBackend  # noqa: PLC0415

        def of_cachex(_backend: Any) -> APIRouter:
            fastapi_cachex.BackendProxy.set(MemoryBackend())
            router = APIRouter()
            router.get('/case')(fastapi_cachex.cache(ttl=3600)(answer))
            return router

        yield 'fastapi-cachex', of_cachex


def litestar(answer: Callable[..., Any], *, is_cached: bool, is_guarded: bool = False) -> Any | None:
    """An app of Litestar with the same endpoint at `/case` and `/case/...`; None if it is not installed.

    Its guard wants a header, as those of ours do.
    """
    try:
        from litestar import Litestar, get  # noqa: PLC0415
    except ImportError:
        return None

    @get('/case', cache=3600 if is_cached else False)
    async def one() -> dict[str, Any]:
        return dict(await answer())

    @get('/case/{number:int}', cache=3600 if is_cached else False)
    async def of_a_number(number: int) -> dict[str, Any]:
        return dict(await answer())

    async def checked(connection: Any, _handler: Any) -> None:
        assert connection.headers['x-key']

    return Litestar([one, of_a_number], guards=[checked] if is_guarded else [])
