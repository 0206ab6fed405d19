"""fastapi-mcp: tools call the routes of the app, and get what is cached there."""

from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from fastapi_caching_route import FastAPICache
from tests.add_ons.libraries import library

fastapi_mcp, mcp, streams = library('fastapi-mcp', 'fastapi_mcp', 'mcp', 'mcp.client.streamable_http')


async def called(app, tool, headers=None, **arguments):
    """The text that a tool of the app gives to a client of MCP."""

    def client(headers=None, timeout=None, auth=None):
        transport = httpx.ASGITransport(app=app)
        return httpx.AsyncClient(transport=transport, headers=headers, timeout=timeout, auth=auth)

    async with (
        streams.streamablehttp_client('http://testserver/mcp', headers, httpx_client_factory=client) as (
            read,
            write,
            _,
        ),
        mcp.ClientSession(read, write) as session,
    ):
        await session.initialize()
        result = await session.call_tool(tool, arguments)
    assert not result.isError, result.content
    return result.content[0].text


pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning')


async def test_tools_and_other_clients_share_entries():
    app, cache, runs = FastAPI(), FastAPICache(), []
    cache.install(app)

    @app.get('/squares/{number}', operation_id='square')
    @cache(ttl=60)
    async def square(number: int) -> int:
        runs.append(number)
        return number * number

    server = fastapi_mcp.FastApiMCP(app)
    server.mount_http()
    assert [await called(app, 'square', number=it) for it in (3, 3, 4)] == ['9', '9', '16']
    assert runs == [3, 4]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url='http://testserver') as client:
        assert (await client.get('/squares/3')).headers['x-cache'] == 'HIT'
    await server._http_transport.shutdown()


async def test_a_tool_forwards_who_calls_it_and_each_user_has_an_entry():
    app, cache, runs = FastAPI(), FastAPICache(), []
    cache.install(app)

    @app.get('/me', operation_id='me')
    @cache(ttl=60)
    async def me(token: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> str:
        runs.append(token.credentials)
        return token.credentials

    server = fastapi_mcp.FastApiMCP(app)
    server.mount_http()
    told = [await called(app, 'me', {'authorization': f'Bearer {it}'}) for it in ('ada', 'grace', 'ada')]
    assert told == ['"ada"', '"grace"', '"ada"']
    assert runs == ['ada', 'grace']
    await server._http_transport.shutdown()
