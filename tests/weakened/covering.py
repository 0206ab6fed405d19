"""Which tests run which lines of the package: measured once for each state of package and tests, and kept."""

import ast
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from coverage import CoverageData

ROOT = Path(__file__).parent.parent.parent
PACKAGE = 'fastapi_caching_route'
NOT_COPIED = ('.git', '.venv', 'site', '.hypothesis', '__pycache__', '.mypy_cache', '.ruff_cache', '.pytest_cache')
SLOW = (
    *('clusters', 'documents', 'equivalence', 'examples', 'faults', 'race', 'schema_fuzz', 'servers', 'simulation'),
    *('stress', 'streams_on_a_server'),
)
"""Files of tests that take long, and that no weakened place needs."""

PYTEST = (sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider')
WITHOUT_SLOW = tuple(f'--ignore-glob=tests/*/test_{it}.py' for it in SLOW)
MEASURING = """
[run]
source = fastapi_caching_route
relative_files = true
"""


@dataclass(frozen=True)
class Measured:
    """One run of all tests with nothing weakened."""

    lines: CoverageData
    seconds: dict[str, float]  # of each test that has passed
    failing: frozenset[str]  # they fail without any weakening, and say nothing about it

    def tests_of(self, file: str, text: str, changed: range) -> set[str]:
        """The tests that run the changed lines; of lines that run at import, the tests of what stands around them."""
        by_line = self.lines.contexts_by_lineno(f'{PACKAGE}/{file}')
        for lines in _widening(text, changed):
            found = {it.partition('|')[0] for line in lines for it in by_line.get(line, ())}
            if found := found & self.seconds.keys():
                return found
        return set()


def _widening(text: str, changed: range) -> list[set[int]]:
    """The lines of the changed statements, of each block around them, and of the whole file."""
    blocks = [it for it in ast.walk(ast.parse(text)) if isinstance(it, ast.stmt | ast.ExceptHandler)]
    spans = [set(_span(it)) for it in blocks]
    around: list[set[int]] = sorted((it for it in spans if not it.isdisjoint(changed)), key=len)
    statements: set[int] = set()
    for line in changed:
        statements |= next((_own_lines(it) for it in reversed(blocks) if line in _own_lines(it)), set())
    return [statements, *around, set(range(1, text.count('\n') + 2))]


def _span(block: ast.stmt | ast.ExceptHandler) -> range:
    return range(block.lineno, (block.end_lineno or block.lineno) + 1)


def _own_lines(block: ast.stmt | ast.ExceptHandler) -> set[int]:
    """The lines of a statement without those of the statements in it."""
    span = _span(block)
    body = getattr(block, 'body', None)
    return set(range(span.start, _span(body[0]).start) or span[:1]) if body else set(span)


def measured(*, any_will_do: bool) -> Measured:
    """What was measured for this state of package and tests; measure it if there is nothing yet.

    For a few rows an older state will do: it decides only which tests come first.
    """
    folder = Path(tempfile.gettempdir()) / f'weakened-{_digest()}'
    others = sorted(folder.parent.glob('weakened-*'), key=lambda it: it.stat().st_mtime)
    if any_will_do and others and not folder.exists():
        folder = others[-1]
    if not folder.exists():
        _measure(folder)
    lines = CoverageData(str(folder / 'coverage'))
    lines.read()
    seconds, failing = {}, set()
    for case in ET.parse(folder / 'tests.xml').iter('testcase'):  # noqa: S314, we have written it
        test = f'{case.attrib["classname"].replace(".", "/")}.py::{case.attrib["name"]}'
        if case.find('failure') is None and case.find('error') is None:
            seconds[test] = float(case.attrib['time'])
        else:
            failing.add(test)
    return Measured(lines, seconds, frozenset(failing))


def _digest() -> str:
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(it for part in (PACKAGE, 'tests', 'examples') for it in (ROOT / part).rglob('*.py')):
        if path.parent != Path(__file__).parent:
            digest.update(f'{path.relative_to(ROOT)}\n'.encode() + path.read_bytes())
    return digest.hexdigest()


def _measure(folder: Path) -> None:
    print('Measuring which tests run which lines', flush=True)
    with tempfile.TemporaryDirectory() as here:
        project = copied(Path(here) / 'project')
        results = Path(here) / 'results'
        results.mkdir()
        (results / 'settings').write_text(MEASURING)
        command = [*PYTEST, '-n', '2', 'tests', *WITHOUT_SLOW, f'--junitxml={results / "tests.xml"}']
        command += ['--cov', f'--cov-config={results / "settings"}', '--cov-context=test', '--cov-report=']
        subprocess.run(  # noqa: S603, our own command
            command, cwd=project, env=environment(project, COVERAGE_FILE=str(results / 'coverage')), check=False
        )
        shutil.move(results, folder)


def copied(folder: Path) -> Path:
    """A copy of the project in this folder."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_COPIED))
    return folder


def environment(project: Path, **more: str) -> dict[str, str]:
    """Processes that tests start import the package of the copy, too."""
    return {**os.environ, 'PYTHONPATH': str(project), **more}
