"""Servers that benchmarks start on free ports, and stop."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager


def free_port() -> int:
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return int(found.getsockname()[1])


def wait_for(port: int, seconds: float = 20) -> None:
    """Wait until somebody listens there.

    Raises:
        TimeoutError: nobody did, in so many seconds.

    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with socket.socket() as found:
            if found.connect_ex(('127.0.0.1', port)) == 0:
                return
        time.sleep(0.02)
    msg = f'nobody listens at port {port} after {seconds} s'
    raise TimeoutError(msg)


@contextmanager
def redis_server(*options: str) -> Iterator[int | None]:
    """A redis-server that keeps nothing on disk; its port, or None where there is none in PATH."""
    port = free_port()
    with _server(port, 'redis-server', '--port', str(port), '--save', '', '--appendonly', 'no', *options) as there:
        yield there


@contextmanager
def memcached_server() -> Iterator[int | None]:
    """A memcached; its port, or None where there is none in PATH."""
    port = free_port()
    with _server(port, 'memcached', '-p', str(port), '-l', '127.0.0.1', '-U', '0', '-u', 'nobody') as there:
        yield there


@contextmanager
def _server(port: int, program: str, *options: str) -> Iterator[int | None]:
    path = shutil.which(program)
    if path is None:
        yield None
        return
    server = subprocess.Popen([path, *options], stdout=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield port
    finally:
        server.terminate()
        server.wait()
