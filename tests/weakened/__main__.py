"""Weakens the package in one place after another, and sees that a test fails for each.

uv run python -m tests.weakened            all places: at first some minutes to measure, then about ten seconds each
uv run python -m tests.weakened guards     those of this name

For each place the tests that run the changed lines come first, the quick ones before the others.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import takewhile
from pathlib import Path
from queue import SimpleQueue

from tests.weakened.covering import PACKAGE, PYTEST, WITHOUT_SLOW, Measured, copied, environment, measured
from tests.weakened.rows import ROWS, Row

AT_A_TIME = 2
QUICK = 300  # tests of a row that are tried before all others
LIMIT = 900  # seconds for one run of tests
PLUGINS = ('-p', 'anyio', '-p', '_hypothesis_pytestplugin')  # others take a second to load
NO_TEST = 'ERROR: not found: '
FAILING, HANGS = ('FAILED', 'ERROR'), 'a test hangs'
FOLDERS = (
    'http',
    'core',
    'concurrency',
    'fastapi',
    'exchange',
    'store',
    'public',
    'routes',
    'backends',
    'functions',
    'sessions',
    'promises',
)
"""Of tests, the quick ones first."""


def main() -> None:
    named, began_at = sys.argv[1:], time.monotonic()
    rows = [row for row in ROWS if row.name in named or not named]
    known = measured(any_will_do=bool(named))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_A_TIME) as pool:
        projects: SimpleQueue[Path] = SimpleQueue()
        for number in range(AT_A_TIME):
            projects.put(copied(Path(folder) / str(number)))
        left = rows
        for tests in (quick_tests, covering_tests, all_tests):  # the next ones only where none of these fails
            ran = pool.map(partial(is_noticed, known=known, tests=tests, projects=projects), left)
            left = [row for row, noticed in zip(left, ran, strict=True) if not noticed]
    for row in left:
        print(f'{row.name}: NO TEST FAILS')
    print(f'{len(rows)} places, {len(left)} survivors, {time.monotonic() - began_at:.0f} seconds')
    sys.exit(bool(left))


def is_noticed(
    row: Row, known: Measured, tests: Callable[[Row, str, Measured], list[str]], projects: 'SimpleQueue[Path]'
) -> bool:
    """Print which of these tests fails for this place; give whether one does."""
    project, began_at = projects.get(), time.monotonic()
    path = project / PACKAGE / row.file
    text = path.read_text()
    try:
        path.write_text(text.replace(row.there, row.instead) + row.appended)
        result = first_failing(project, tests(row, text, known), known)
    finally:
        path.write_text(text)
        projects.put(project)
    print(f'{row.name:44} {time.monotonic() - began_at:4.0f}  {result}', flush=True)
    return result.startswith(FAILING) or (row.hangs and result == HANGS)


def quick_tests(row: Row, text: str, known: Measured) -> list[str]:
    """A few of the tests that run the changed lines."""
    return _covering(row, text, known)[:QUICK]


def covering_tests(row: Row, text: str, known: Measured) -> list[str]:
    """The other tests that run the changed lines."""
    return _covering(row, text, known)[QUICK:]


def all_tests(row: Row, _text: str, _known: Measured) -> list[str]:
    """The folders of all tests."""
    return [f'tests/{it}' for it in sorted(FOLDERS, key=lambda it: it != part(row))]


def _covering(row: Row, text: str, known: Measured) -> list[str]:
    """The tests that run the changed lines: first one case of each, beginning with those of the same subpackage."""
    covering = filter(is_there, known.tests_of(row.file, text, changed_lines(row, text)))
    quick = sorted(covering, key=lambda it: (not it.startswith(f'tests/{part(row)}/'), known.seconds[it], it))
    cases: Counter[str] = Counter()
    turns = {}
    for test in quick:
        function = test.partition('[')[0]
        turns[test] = cases[function]
        cases[function] += 1
    return sorted(quick, key=turns.__getitem__)


def is_there(test: str) -> bool:
    """Whether there is this test by now: what is known may be of an older state."""
    file, _, name = test.partition('::')
    path = Path(file)
    return path.exists() and f'def {name.partition("[")[0]}(' in path.read_text()


def part(row: Row) -> str:
    """The folder of tests for the part of the package in which this place is."""
    return row.file.partition('/')[0].removeprefix('_') if '/' in row.file else 'public'


def changed_lines(row: Row, text: str) -> range:
    """The lines of the text that the row changes, less what it only repeats to be found."""
    same = _alike(row.there, row.instead)
    start = text.index(row.there) + min(same, len(row.there) - 1)
    end = text.index(row.there) + len(row.there)
    end -= _alike(row.there[same:][::-1], row.instead[same:][::-1])
    return range(text.count('\n', 0, start) + 1, text.count('\n', 0, max(start, end - 1)) + 2)


def _alike(one: str, other: str) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def first_failing(project: Path, tests: list[str], known: Measured) -> str:
    """The first of these tests that fails, as pytest shows it; else how its run has ended."""
    if not tests:
        return 'no test runs this'
    command = [*PYTEST, *PLUGINS, '-x', '--tb=no', *tests, *WITHOUT_SLOW, *(f'--deselect={it}' for it in known.failing)]
    started = partial(subprocess.Popen, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    surroundings = environment(project, PYTEST_DISABLE_PLUGIN_AUTOLOAD='1')
    running = started(command, cwd=project, env=surroundings, start_new_session=True)
    try:
        output, _ = running.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return HANGS
    finally:
        end(running)
    if 'Timeout (' in output:  # of `faulthandler_timeout`, which ends the process
        return HANGS
    failed = [line for line in output.splitlines() if line.startswith(FAILING) and NO_TEST not in line]
    return failed[0].partition(' - ')[0] if failed else f'no test fails, pytest ends with {running.returncode}'


def end(running: 'subprocess.Popen[str]') -> None:
    """Kill what is left of a run: itself, and the servers that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.communicate()


if __name__ == '__main__':
    main()
