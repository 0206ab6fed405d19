"""Streams that are long, endless, broken or left alone, on a real server."""

import http.client
import json
import socket
import time

import pytest

from tests.servers import ROOT, uvicorn_server, wait_until

MB = 1024 * 1024


@pytest.fixture(scope='module')
def port():
    with uvicorn_server('tests.stream_app:app', cwd=ROOT) as port:
        yield port


def get(port, path):
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
    connection.request('GET', path)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


def state(port):
    return json.loads(get(port, '/state')[1])


def test_a_stream_of_100_mb_costs_no_more_memory_than_the_limit(port):
    before = state(port)['peak']
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
    connection.request('GET', '/large')
    response = connection.getresponse()
    size = 0
    while chunk := response.read(MB):
        size += len(chunk)
    connection.close()
    after = state(port)
    assert size == 100 * MB
    assert response.headers['x-cache'] == 'MISS'
    assert after['recording'] == 0
    # The limit, the chunks under way in server and socket, and what the allocator keeps.
    assert after['peak'] - before < (8 + 16) * MB
    assert get(port, '/large?size=1')[0].headers['x-cache'] == 'MISS'


def test_an_endless_stream_is_passed_on_at_once_and_closed_when_its_client_leaves(port):
    with socket.create_connection(('127.0.0.1', port), timeout=60) as client:
        client.sendall(b'GET /endless HTTP/1.1\r\nHost: test\r\n\r\n')
        received = b''
        while b'event 2' not in received:
            received += client.recv(65536)
    wait_until(lambda: state(port)['closed'] == 1)
    assert state(port)['recording'] == 0
    assert b'x-cache: MISS' in received
    with socket.create_connection(('127.0.0.1', port), timeout=60) as client:
        client.sendall(b'GET /endless HTTP/1.1\r\nHost: test\r\n\r\n')
        assert b'x-cache: MISS' in client.recv(65536)
    wait_until(lambda: state(port)['closed'] == 2)


def test_an_endless_stream_is_not_held_beyond_the_limit(port):
    with socket.create_connection(('127.0.0.1', port), timeout=60) as client:
        client.sendall(b'GET /flood HTTP/1.1\r\nHost: test\r\n\r\n')
        received, deadline = 0, time.monotonic() + 60
        while received < 40 * MB and time.monotonic() < deadline:
            received += len(client.recv(MB))
    assert received >= 40 * MB
    wait_until(lambda: state(port)['recording'] == 0)


def test_a_stream_that_breaks_is_not_stored_on_a_real_server(port):
    for _ in range(2):
        with socket.create_connection(('127.0.0.1', port), timeout=60) as client:
            client.sendall(b'GET /broken HTTP/1.1\r\nHost: test\r\n\r\n')
            received = b''.join(iter(lambda: client.recv(65536), b''))
        assert b'half' in received
        assert not received.endswith(b'0\r\n\r\n')
    assert state(port)['broken'] == 2
