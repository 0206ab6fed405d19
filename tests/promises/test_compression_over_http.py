"""Compressed responses over a real socket, to a client of others."""

import os
import shutil
import subprocess

import pytest

from tests.compressed_app import TEXT
from tests.servers import ROOT, uvicorn_server, wait_until

CURL = shutil.which('curl')


@pytest.fixture(scope='module', params=['app', 'dressed'])
def port(request):
    if CURL is None:
        assert os.environ.get('CI') != 'true', 'curl is missing'
        pytest.skip('curl is missing')
    with uvicorn_server(f'tests.compressed_app:{request.param}', cwd=ROOT) as port:
        yield port


def curl(port, *options):
    """The headers and the body that curl gives."""
    command = [CURL, '-s', '-D', '/dev/stderr', *options, f'http://127.0.0.1:{port}/text']
    run = subprocess.run(command, capture_output=True, check=True, timeout=60)  # noqa: S603, our own command
    lines = [it.partition(': ') for it in run.stderr.decode().splitlines()[1:] if it]
    return {name.lower(): value for name, _, value in lines}, run.stdout


def test_curl_decodes_what_is_kept_compressed(port):
    for options in (('--compressed',), ()):
        _, body = curl(port, *options)
        assert body == TEXT.encode()
    wait_until(lambda: curl(port, '--compressed')[0]['x-cache'] == 'HIT')
    wait_until(lambda: int(curl(port, '--compressed')[0].get('content-length', 10**6)) < len(TEXT) / 50)
    headers, body = curl(port, '--compressed', '-H', 'Accept-Encoding: gzip')
    assert (headers['content-encoding'], body) == ('gzip', TEXT.encode())
    assert 'accept-encoding' in headers['vary'].lower()
    again, nothing = curl(port, '-H', 'Accept-Encoding: gzip', '-H', f'If-None-Match: {headers["etag"]}')
    assert (again['etag'], nothing) == (headers['etag'], b'')
    plain, body = curl(port)
    assert ('content-encoding' in plain, plain['content-length'], body) == (False, str(len(TEXT)), TEXT.encode())
    assert plain['etag'] != headers['etag']
    part, body = curl(port, '-r', '5-8', '--compressed')
    assert (part['content-range'], body) == (f'bytes 5-8/{len(TEXT)}', TEXT[5:9].encode())
    head, _ = curl(port, '-I', '-H', 'Accept-Encoding: gzip')
    assert (head['content-length'], head['etag']) == (headers['content-length'], headers['etag'])
