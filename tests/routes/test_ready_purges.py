"""The ready purges: what Fastly, Cloudflare, Varnish and Souin are asked, and that no secret of theirs is shown."""

import asyncio
import json
import logging
import sys
from base64 import b64encode
from contextlib import asynccontextmanager

import pytest

from fastapi_caching_route import ConfigurationError
from fastapi_caching_route import purge as purge_module
from fastapi_caching_route.purge import (
    CloudflarePurge,
    FastlyPurge,
    PurgeError,
    PurgeRequest,
    SouinPurge,
    VarnishPurge,
)
from tests.support import until

TOKEN = 'very-secret-token'


@asynccontextmanager
async def fake(*statuses):
    """A server that speaks HTTP, answers with these statuses and then with 200, and keeps what it was asked."""
    asked, left = [], list(statuses)

    async def answer(reader, writer):
        head = (await reader.readuntil(b'\r\n\r\n')).decode()
        line, *rest = head.strip().split('\r\n')
        headers = dict(it.split(': ', 1) for it in rest)
        headers = {name.lower(): value for name, value in headers.items()}
        body = await reader.readexactly(int(headers.get('content-length', 0)))
        asked.append((*line.split(' ')[:2], headers, json.loads(body) if body else None))
        status = left.pop(0) if left else 200
        writer.write(b'HTTP/1.1 %d Status\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}' % status)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, '127.0.0.1', 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield f'http://127.0.0.1:{port}', asked


REQUEST = PurgeRequest(('user:7', 'path:/u/7'))
SOFT = PurgeRequest(('user:7',), soft=True)


async def test_fastly_is_asked_by_keys():
    async with fake() as (url, asked):
        purge = FastlyPurge(service_id='abc', token=TOKEN, api=url)
        await purge(REQUEST)
        await purge(SOFT)
        await purge(PurgeRequest(tuple(map(str, range(300)))))
    (method, path, headers, body), soft, *many = asked
    assert (method, path, body) == ('POST', '/service/abc/purge', {'surrogate_keys': ['user:7', 'path:/u/7']})
    assert (headers['fastly-key'], 'fastly-soft-purge' in headers) == (TOKEN, False)
    assert soft[2]['fastly-soft-purge'] == '1'
    assert [len(it[3]['surrogate_keys']) for it in many] == [256, 44]


async def test_cloudflare_is_asked_by_tags():
    async with fake() as (url, asked):
        await CloudflarePurge(zone_id='z', token=TOKEN, api=url)(PurgeRequest(tuple(map(str, range(31)))))
    assert [(it[0], it[1]) for it in asked] == [('POST', '/zones/z/purge_cache')] * 2
    assert [len(it[3]['tags']) for it in asked] == [30, 1]
    assert asked[0][2]['authorization'] == f'Bearer {TOKEN}'


async def test_every_varnish_is_asked_also_if_one_fails():
    async with fake(503) as (bad, _), fake() as (good, asked):
        purge = VarnishPurge(urls=[bad, good], headers={'x-secret': TOKEN})
        with pytest.raises(PurgeError, match=r'^127\.0\.0\.1 returned 503$'):
            await purge(REQUEST)
        await VarnishPurge(urls=[good])(SOFT)
    assert [(it[0], it[1]) for it in asked] == [('PURGE', '/')] * 2
    assert (asked[0][2]['xkey-purge'], asked[0][2]['x-secret']) == ('user:7 path:/u/7', TOKEN)
    assert asked[1][2]['xkey-softpurge'] == 'user:7'


async def test_souin_is_asked_by_its_api():
    async with fake() as (url, asked):
        await SouinPurge(urls=[f'{url}/souin-api/souin'])(REQUEST)
    assert [(it[0], it[1]) for it in asked] == [('PURGE', '/souin-api/souin')]
    assert asked[0][2]['surrogate-key'] == 'user:7, path:/u/7'


async def test_no_error_has_a_token_in_it():
    for purge in (
        FastlyPurge(service_id='a', token=TOKEN, api='http://127.0.0.1:1'),
        FastlyPurge(service_id='a', token=f'{TOKEN}\r\nx', api='http://127.0.0.1:1'),
        VarnishPurge(urls=['http://127.0.0.1:1'], headers={'x-secret': TOKEN}),
    ):
        with pytest.raises(PurgeError) as raised:
            await purge(REQUEST)
        assert TOKEN not in str(raised.value)
        assert TOKEN not in repr(purge)


@pytest.mark.parametrize('kind', [VarnishPurge, SouinPurge])
async def test_the_password_of_a_url_is_sent_and_never_shown(kind, caplog):
    caplog.set_level(logging.DEBUG)
    async with fake() as (url, asked):
        purge = kind(urls=[url.replace('//', f'//admin:{TOKEN}@')])
        await purge(REQUEST)
    for wrong in (f'//admin:{TOKEN}@[::1', f'http://admin:{TOKEN}@127.0.0.1:1', f'http://{TOKEN}@:x'):
        with pytest.raises(PurgeError) as raised:
            await kind(urls=[wrong])(REQUEST)
        assert TOKEN not in str(raised.value)
    assert asked[0][2]['authorization'] == f'Basic {b64encode(f"admin:{TOKEN}".encode()).decode()}'
    assert TOKEN not in caplog.text + repr(purge)


async def test_a_server_that_hangs_holds_up_no_other(monkeypatch):
    monkeypatch.setattr(purge_module, 'TIMEOUT_SECONDS', 0.3)

    async def hang(reader, writer):
        await reader.read()
        writer.close()

    hanging = await asyncio.start_server(hang, '127.0.0.1', 0)
    port = hanging.sockets[0].getsockname()[1]
    async with hanging, fake() as (good, asked):
        purge = VarnishPurge(urls=[*[f'http://127.0.0.1:{port}'] * 4, good])
        sending = asyncio.ensure_future(purge(REQUEST))
        await until(lambda: asked)
        assert not sending.done()
        with pytest.raises(PurgeError, match='Timeout'):
            await sending


@pytest.mark.parametrize('kind', [VarnishPurge, SouinPurge])
async def test_lines_of_tags_stay_short(kind):
    tags = tuple(f'{"x" * 150}{it}' for it in range(100))
    async with fake() as (url, asked):
        await kind(urls=[url])(PurgeRequest((*tags, 'y' * 5000, 'z')))
    name = 'xkey-purge' if kind is VarnishPurge else 'surrogate-key'
    lines = [it[2][name].replace(',', '').split(' ') for it in asked]
    assert [tag for line in lines for tag in line] == [*tags, 'y' * 5000, 'z']
    assert all(len(' '.join(line)) <= 4000 or len(line) == 1 for line in lines)


@pytest.mark.parametrize('kind', [VarnishPurge, SouinPurge])
def test_a_url_with_a_query_is_refused_because_it_would_be_logged(kind):
    with pytest.raises(ConfigurationError, match='headers='):
        kind(urls=['http://127.0.0.1/', f'http://127.0.0.1/?token={TOKEN}'])


@pytest.mark.parametrize(
    'build',
    [
        lambda: FastlyPurge(service_id='a', token='b'),
        lambda: CloudflarePurge(zone_id='a', token='b'),
        lambda: VarnishPurge(urls=[]),
        lambda: SouinPurge(urls=[]),
    ],
)
def test_without_httpx_the_ready_purges_say_what_to_install(build, monkeypatch):
    monkeypatch.setitem(sys.modules, 'httpx', None)
    with pytest.raises(ConfigurationError, match='extra `purge`'):
        build()


def test_an_event_loop_has_one_client_and_all_share_one_context():
    purge, found = VarnishPurge(urls=[]), []

    async def look():
        first = purge._clients._client()
        found.append((first, first is purge._clients._client()))

    asyncio.run(look())
    asyncio.run(look())
    (first, is_one), (second, _) = found
    assert is_one
    assert first is not second
