"""Servers in processes of their own, and connections to them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / 'examples'


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def wait_until(ready: Any, seconds: float = 60) -> None:
    """Ask again and again until it is so."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, 'it did not come to be in time'
        time.sleep(0.02)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) == 0


def uvicorn_server(app: str, *options: str, cwd: Path = EXAMPLES) -> AbstractContextManager[int]:
    """Uvicorn in a process of its own; gives its port."""
    return real_server(('uvicorn', app, '--port', '{}', '--log-level', 'warning', *options), cwd=cwd)


@contextmanager
def real_server(command: Sequence[str], *, cwd: Path = EXAMPLES) -> Iterator[int]:
    """A server, as a module with options, in a process of its own; braces stand for the port that it is given."""
    port = free_port()
    started = [sys.executable, '-m', *(it.replace('{}', str(port)) for it in command)]
    server = subprocess.Popen(started, cwd=cwd, start_new_session=True)  # noqa: S603, our own command
    try:
        wait_until(lambda: listens(port))
        yield port
    finally:
        stop(server)


def stop(server: subprocess.Popen[Any], seconds: float = 10) -> None:
    """Ask a server that leads its own session to end; kill it and its workers if it does not.

    granian waits for ever for a worker that was asked to end while it started.
    """
    server.terminate()
    try:
        server.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(timeout=seconds)


class Wire:
    """One connection kept alive, and the answers read off it by hand."""

    def __init__(self, port):
        self.socket = socket.create_connection(('127.0.0.1', port), timeout=60)
        self.file = self.socket.makefile('rb')

    def get(self, path, *fields):
        lines = [f'GET {path} HTTP/1.1', 'Host: wire', *fields]
        self.socket.sendall(('\r\n'.join(lines) + '\r\n\r\n').encode())
        status = int(self.file.readline().split()[1])
        headers = []
        while (line := self.file.readline().strip()) != b'':
            name, _, value = line.decode().partition(': ')
            headers.append((name.lower(), value))
        return status, headers, self.body(status, dict(headers))

    def body(self, status, headers):
        if headers.get('transfer-encoding') == 'chunked':
            return b''.join(iter(self.chunk, b''))
        return b'' if status == 304 else self.file.read(int(headers['content-length']))

    def chunk(self):
        size = int(self.file.readline(), 16)
        content = self.file.read(size)
        self.file.readline()
        return content

    def close(self):
        self.file.close()
        self.socket.close()
