"""The reverse proxy of the examples on a server, in front of an origin that answers what the test says."""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from tests.promises.origins import Origin
from tests.servers import EXAMPLES, uvicorn_server


@pytest.fixture(scope='module')
def origin():
    """An origin on a free port of its own."""
    state = Origin()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'

        def answer(self):
            length = int(self.headers.get('content-length', 0))
            self.rfile.read(length)
            state.asked.append((self.command, self.path, dict(self.headers.items())))
            if state.down:
                self.close_connection = True
                return
            self.send_response_only(state.status)
            for name, value in state.fields:
                self.send_header(name, value)
            bodyless = self.command == 'HEAD' or state.status in {204, 304}
            self.send_header('Content-Length', str(len(state.body)))
            self.end_headers()
            if not bodyless:
                self.wfile.write(state.body)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_REPORT = do_QUERY = answer  # noqa: N815, as the standard library calls it

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture(scope='module')
def proxy_port(origin):
    os.environ['ORIGIN'] = f'http://127.0.0.1:{origin.port}'
    with uvicorn_server('reverse_proxy:app', '--no-date-header', '--no-server-header', cwd=EXAMPLES) as port:
        yield port


def _in_path(name):
    return name.replace('[', '/').replace(']', '').replace(' ', '-')


@pytest.fixture
def ask(origin, proxy_port, request):
    """Asks the proxy for a path that no other test has; gives the answer, and notes whether the origin was asked."""
    origin.asked.clear()
    origin.down = False
    origin.answers()
    with httpx.Client(base_url=f'http://127.0.0.1:{proxy_port}', timeout=60) as client:

        def ask(method='GET', path='', content=None, **headers):
            sent = httpx.Request(
                method,
                f'http://127.0.0.1:{proxy_port}/{_in_path(request.node.name)}{path}',
                content=content,
                headers={name.replace('_', '-'): value for name, value in headers.items()},
            )
            return client.send(sent)

        yield ask
