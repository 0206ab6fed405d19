"""Requests as a server hands them to an app, and apps around an app."""

import json
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from fastapi_caching_route import MemoryCache

BODY = json.dumps({'wanted': 'x' * 1000}).encode()


async def receive() -> dict[str, Any]:
    return {'type': 'http.request', 'body': b'', 'more_body': False}


async def receive_body() -> dict[str, Any]:
    return {'type': 'http.request', 'body': BODY, 'more_body': False}


def scope_of(
    path: str, query: bytes = b'', headers: tuple[tuple[bytes, bytes], ...] = (), method: str = 'GET'
) -> dict[str, Any]:
    return {
        'type': 'http',
        'asgi': {'version': '3.0', 'spec_version': '2.4'},
        'http_version': '1.1',
        'method': method,
        'scheme': 'http',
        'path': path,
        'raw_path': path.encode(),
        'query_string': query,
        'root_path': '',
        'headers': [(b'host', b'bench'), (b'user-agent', b'bench'), (b'accept', b'*/*'), *headers],
        'client': ('127.0.0.1', 1),
        'server': ('127.0.0.1', 80),
    }


async def to_nobody(_message: Any) -> None:
    pass


async def answer(
    app: FastAPI, scope: dict[str, Any], receive: Callable[[], Any] = receive
) -> tuple[int, dict[bytes, bytes]]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(dict(scope), receive, send)
    return sent[0]['status'], dict(sent[0]['headers'])


def beside(app: Any, other: Any) -> Any:
    """The app, with the case in another one."""

    def serve(scope: Any, receive: Any, send: Any) -> Any:
        return (other if scope['path'].startswith('/case') else app)(scope, receive, send)

    return serve


def forgetting(app: Any, memory: Any) -> Any:
    """The app, before each request of which what is stored is taken away: that counts as a part of the request."""

    async def forget(scope: Any, receive: Any, send: Any) -> None:
        for key in memory.keys() if isinstance(memory, MemoryCache) else [*memory._cache]:
            memory.remove(key) if isinstance(memory, MemoryCache) else memory._cache.pop(key)
        await app(scope, receive, send)

    return forget
