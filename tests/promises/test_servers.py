"""Over a real socket: uvicorn with both of its HTTP implementations, hypercorn and granian; every byte as it comes."""

import gzip
import json

import pytest

from tests.servers import ROOT, Wire, real_server

SERVERS = {
    'uvicorn, httptools': ('uvicorn', '--http', 'httptools', '--port', '{}'),
    'uvicorn, h11': ('uvicorn', '--http', 'h11', '--port', '{}'),
    'hypercorn': ('hypercorn', '--bind', '127.0.0.1:{}'),
    'granian': ('granian', '--interface', 'asgi', '--port', '{}'),
}


@pytest.fixture(scope='module', params=SERVERS)
def implementation(request):
    return SERVERS[request.param]


@pytest.fixture(scope='module', params=['app', 'dressed'])
def served(request, implementation):
    with real_server((*implementation, f'tests.wire_app:{request.param}'), cwd=ROOT) as port:
        wire = Wire(port)
        yield request.param, wire
        wire.close()


def test_get_then_304_then_the_whole_body_again(served):
    _, wire = served
    asked = 'Accept-Encoding: identity'
    status, headers, body = wire.get('/page', asked)
    assert (status, len(body), dict(headers)['x-cache'], dict(headers)['content-length']) == (200, 2002, 'MISS', '2002')
    tag = dict(headers)['etag']

    status, headers, body = wire.get('/page', asked, f'If-None-Match: "other", W/{tag}')
    assert (status, body, dict(headers)['x-cache'], dict(headers)['etag']) == (304, b'', 'HIT', tag)
    assert not {'content-length', 'content-type', 'transfer-encoding'} & set(dict(headers))

    status, headers, body = wire.get('/page', asked)
    assert (status, len(body), dict(headers)['x-cache'], dict(headers)['content-length']) == (200, 2002, 'HIT', '2002')
    assert json.loads(wire.get('/runs')[2])['page'] == 1


def test_what_one_client_gets_from_middleware_no_other_client_ever_sees(served):
    app, wire = served
    _, headers, body = wire.get('/page', 'Accept-Encoding: gzip', 'X-Visitor: ann')
    if app == 'dressed':
        assert dict(headers)['content-encoding'] == 'gzip'
        assert len(gzip.decompress(body)) == 2002
        assert 'visitor=ann' in dict(headers)['set-cookie']
    _, headers, body = wire.get('/page', 'Accept-Encoding: identity', 'X-Visitor: bob')
    assert len(body) == 2002
    assert 'content-encoding' not in dict(headers)
    cookies = [value for name, value in headers if name == 'set-cookie']
    assert [it.partition(';')[0] for it in cookies] == (['visitor=bob'] if app == 'dressed' else [])
    names = [name for name, _ in headers]
    assert len(names) == len(set(names))


def test_a_stream_is_chunked_when_it_is_made_and_whole_when_it_is_stored(served):
    _, wire = served
    asked = 'Accept-Encoding: identity'
    _, headers, body = wire.get('/stream', asked)
    assert (body, dict(headers)['x-cache'], dict(headers)['transfer-encoding']) == (b'012', 'MISS', 'chunked')
    _, headers, body = wire.get('/stream', asked)
    assert (body, dict(headers)['x-cache'], dict(headers)['content-length']) == (b'012', 'HIT', '3')
    assert json.loads(wire.get('/runs')[2])['stream'] == 1


def test_a_file_is_sent_in_bytes_and_stored_whatever_its_server_could_send_itself(served):
    _, wire = served
    asked = 'Accept-Encoding: identity'
    answers = [wire.get('/file', asked) for _ in range(2)]
    assert [dict(headers)['x-cache'] for _, headers, _ in answers] == ['MISS', 'HIT']
    assert {body for _, _, body in answers} == {(ROOT / 'tests' / 'wire_app.py').read_bytes()}
    assert json.loads(wire.get('/runs')[2])['file'] == 1
    status, headers, body = wire.get('/file', asked, 'Range: bytes=0-2')
    assert (status, dict(headers)['x-cache'], body) == (206, 'HIT', b'"""')
