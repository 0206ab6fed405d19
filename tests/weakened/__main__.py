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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from functools import partial
from itertools import takewhile
from pathlib import Path
from queue import SimpleQueue

from tests.weakened.covering import PACKAGE, PYTEST, WITHOUT_SLOW, Measured, copied, environment, measured
from tests.weakened.rows import ROWS, Row

AT_A_TIME = 2
FIRST = 300  # tests that are tried before all others
LIMIT = 900  # seconds for one run of tests
FOLDERS = ('http', 'core', 'concurrency', 'fastapi', 'exchange', 'store', 'public', 'routes', 'backends', 'promises')
"""Of tests, the quick ones first."""


def main() -> None:
    rows = [row for row in ROWS if row.name in sys.argv[1:] or not sys.argv[1:]]
    began_at = time.monotonic()
    known = measured()
    for test in sorted(known.failing):
        print(f'fails with nothing weakened, and is left out: {test}')
    survivors = 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_A_TIME) as pool:
        projects: SimpleQueue[Path] = SimpleQueue()
        for number in range(AT_A_TIME):
            projects.put(copied(Path(folder) / str(number)))
        for done in as_completed([pool.submit(report, row, known, projects) for row in rows]):
            survivors += not done.result()
    print(f'{len(rows)} places, {survivors} survivors, {time.monotonic() - began_at:.0f} seconds')
    sys.exit(bool(survivors))


def report(row: Row, known: Measured, projects: 'SimpleQueue[Path]') -> bool:
    """Print which test fails for this place; give whether one does."""
    project, began_at = projects.get(), time.monotonic()
    path = project / PACKAGE / row.file
    text = path.read_text()
    try:
        if row.there not in text:
            sys.exit(f'{row.file} does not hold {row.there!r} any more')
        path.write_text(text.replace(row.there, row.instead) + row.appended)
        failed = next(filter(None, (first_failing(project, it, known) for it in in_order(row, text, known))), '')
    finally:
        path.write_text(text)
        projects.put(project)
    print(f'{row.name:44} {time.monotonic() - began_at:4.0f}  {failed or "NO TEST FAILS"}', flush=True)
    return bool(failed)


def in_order(row: Row, text: str, known: Measured) -> Iterator[list[str]]:
    """The tests to run, as arguments of pytest: what runs the changed lines, and then all."""
    part = row.file.partition('/')[0].removeprefix('_') if '/' in row.file else 'public'
    covering = known.tests_of(row.file, text, changed_lines(row, text))
    quick = sorted(covering, key=lambda it: (not it.startswith(f'tests/{part}/'), known.seconds[it], it))
    yield quick[:FIRST]
    yield quick[FIRST:]
    yield [f'tests/{it}' for it in sorted(FOLDERS, key=lambda it: it != part)]


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
    """The first of these tests that fails; nothing if all pass, or if one hangs."""
    if not tests:
        return ''
    command = [*PYTEST, '-x', '--tb=no', *tests, *WITHOUT_SLOW, *(f'--deselect={it}' for it in known.failing)]
    started = partial(subprocess.Popen, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    running = started(command, cwd=project, env=environment(project), start_new_session=True)
    try:
        output, _ = running.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        output = ''
    finally:
        end(running)
    failed = [line for line in output.splitlines() if line.startswith(('FAILED', 'ERROR'))]
    if not failed and running.returncode != 0:
        print(f'pytest has ended with {running.returncode}, and no test has failed')
    return failed[0].partition(' - ')[0] if failed else ''


def end(running: 'subprocess.Popen[str]') -> None:
    """Kill what is left of a run: itself, and the servers that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.communicate()


if __name__ == '__main__':
    main()
