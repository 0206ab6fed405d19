"""A tour: starts `simple.py` under uvicorn, sends it requests, and prints what came back.

python examples/tour.py
"""

import http.client
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, '-m', 'uvicorn', 'simple:app', '--port', str(port), '--log-level', 'warning'], cwd=HERE
    )
    try:
        wait_for(port)
        print(f'examples/simple.py runs on port {port}\n')
        print(f'{"request":<28}{"status":<8}{"X-Cache":<9}{"time":>10}  {"ETag":<36}body')
        tag = show(port, 'GET /')
        show(port, 'GET /')
        show(port, 'GET / + If-None-Match', {'If-None-Match': tag})
        show(port, 'GET /')
    finally:
        server.terminate()
        server.wait()


def wait_for(port: int) -> None:
    """Wait until somebody listens."""
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(('127.0.0.1', port)) == 0:
                return
        time.sleep(0.1)
    sys.exit('the server did not start')


def show(port: int, request: str, headers: dict[str, str] | None = None) -> str:
    """Send a request, print a line about its answer, return the entity tag."""
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
    started = time.perf_counter()
    connection.request('GET', '/', headers=headers or {})
    response = connection.getresponse()
    body = response.read().decode()
    spent = f'{(time.perf_counter() - started) * 1000:.1f} ms'
    connection.close()
    tag = response.headers.get('etag', '-')
    mark = response.headers.get('x-cache', '-')
    print(f'{request:<28}{response.status:<8}{mark:<9}{spent:>10}  {tag:<36}{body or "(no body)"}')
    return tag


if __name__ == '__main__':
    main()
