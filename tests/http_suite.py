"""Run a public suite of tests for HTTP caches, http-cache-tests, against `examples/reverse_proxy.py`: some minutes.

uv run python -m tests.http_suite              install the suite into a temporary folder with npm, and run it
uv run python -m tests.http_suite FOLDER       the same in this folder, which is used again the next time

It needs Node and npm. It prints how many tests passed, and the required ones that did not, each with its reason.
`docs/http.md` explains them. On a slow machine, more fail in their setup, because `Age` is a second more than expected.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.servers import free_port, listens, stop, uvicorn_server, wait_until

PACKAGES = ('http-cache-tests@0.4.5', 'node-fetch@2')
KINDS = ('required', 'optimal')
LIST_TESTS = """
import suites from './tests/index.mjs'
console.log(JSON.stringify(suites.flatMap(suite => suite.tests.map(test => ({suite: suite.id, ...test})))))
"""
"""Those of the RFCs: Surrogate-Control, which this library does not know, is in another file."""


def main() -> None:
    missing = [it for it in ('node', 'npm') if shutil.which(it) is None]
    if missing:
        sys.exit(f'{" and ".join(missing)} cannot be found: install Node, which contains npm')
    with ExitStack() as stack:
        given = sys.argv[1] if len(sys.argv) > 1 else stack.enter_context(tempfile.TemporaryDirectory())
        suite = installed(Path(given).absolute())
        tests, results = tests_in(suite), run(suite)
    for line in report(tests, results):
        print(line)


def installed(folder: Path) -> Path:
    """The folder of the suite, installed by npm where it is not there yet."""
    suite = folder / 'node_modules' / 'http-cache-tests'
    if not suite.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ('npm', 'install', '--no-audit', '--no-fund', '--prefix', str(folder), *PACKAGES)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    return suite


def node(*arguments: str, suite: Path, **settings: object) -> dict[str, Any]:
    """How to run Node in the suite, with its settings as npm would give them."""
    environment = {f'npm_package_config_{name}': str(value) for name, value in settings.items()}
    return {'args': ('node', *arguments), 'cwd': suite, 'env': {**os.environ, **environment}}


def tests_in(suite: Path) -> list[Mapping[str, Any]]:
    listing = node('--input-type=module', '--eval', LIST_TESTS, suite=suite)
    return json.loads(subprocess.run(**listing, check=True, capture_output=True).stdout)


def run(suite: Path) -> Mapping[str, Any]:
    """For each test True, or the kind of its failure and a sentence about it."""
    with origin(suite) as port:
        os.environ['ORIGIN'] = f'http://127.0.0.1:{port}'
        with uvicorn_server('reverse_proxy:app', '--no-date-header', '--no-server-header') as proxy:
            client = node('--no-warnings', 'cli.mjs', suite=suite, base=f'http://127.0.0.1:{proxy}', id='')
            return json.loads(subprocess.run(**client, check=True, stdout=subprocess.PIPE).stdout)


@contextmanager
def origin(suite: Path) -> Iterator[int]:
    """The server of the suite, which responds as its tests say."""
    port = free_port()
    settings = {'protocol': 'http', 'port': port, 'pidfile': os.devnull}
    server = subprocess.Popen(
        **node('server/server.mjs', suite=suite, **settings), start_new_session=True, stdout=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: listens(port))
        yield port
    finally:
        stop(server)


def report(tests: list[Mapping[str, Any]], results: Mapping[str, Any]) -> Iterator[str]:
    """The numbers, and the required tests that failed. Tests for browsers are left out."""
    asked = [it for it in tests if not it.get('browser_only')]
    passed = Counter(kind_of(it) for it in asked if results[it['id']] is True)
    every = Counter(map(kind_of, asked))
    yield ', '.join(f'{kind}: {passed[kind]} of {every[kind]}' for kind in KINDS)
    for test in asked:
        if kind_of(test) == 'required' and results[test['id']] is not True:
            yield f'{test["suite"]}: {test["id"]} ({test["name"]}): {" ".join(map(str, results[test["id"]]))}'


def kind_of(test: Mapping[str, Any]) -> str:
    return test.get('kind', 'required')


if __name__ == '__main__':
    main()
