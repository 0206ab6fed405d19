"""Time to the first byte, and peak memory, of long and endless streams through a cached route under uvicorn.

uv run python benchmarks/streams.py
"""

import http.client
import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.servers import uvicorn_server  # noqa: E402, the path comes first

MB = 1024 * 1024


def state(port: int) -> dict[str, int]:
    connection = http.client.HTTPConnection('127.0.0.1', port)
    connection.request('GET', '/state')
    return json.loads(connection.getresponse().read())


def read(port: int, path: str, most: int) -> tuple[float, float, int]:
    connection = http.client.HTTPConnection('127.0.0.1', port)
    started = time.perf_counter()
    connection.request('GET', path)
    response = connection.getresponse()
    size = len(response.read(1))
    first = time.perf_counter() - started
    while size < most and (chunk := response.read(min(MB, most - size))):
        size += len(chunk)
    connection.close()
    return first, time.perf_counter() - started, size


def main() -> None:
    print(f'{"stream":<22}{"first byte":>12}{"in all":>10}{"bytes read":>14}{"peak memory":>14}{"recording":>11}')
    for name, path, most in (
        ('100 MB', '/large', 200 * MB),
        ('endless, 100 MB of it', '/flood', 100 * MB),
        ('endless events', '/endless', 2000),
    ):
        with uvicorn_server('tests.stream_app:app', cwd=ROOT) as port:
            before = state(port)['peak']
            first, total, size = read(port, path, most)
            time.sleep(0.2)
            after = state(port)
        grown = f'+{(after["peak"] - before) / MB:.1f} MB'
        print(f'{name:<22}{first * 1000:>9.1f} ms{total:>8.2f} s{size:>14}{grown:>14}{after["recording"]:>11}')


if __name__ == '__main__':
    main()
