"""What the documents say is what happens."""

import html
import os
import re
import runpy
import shutil
import subprocess
import sys
from importlib.metadata import metadata

import pytest
from starlette.testclient import TestClient

import fastapi_caching_route
from fastapi_caching_route import CacheOptions, RouteOptions
from tests.servers import EXAMPLES
from tests.support import FASTAPI, marks
from tests.transcripts import DOCUMENTS, PYTHON, ROOT, as_run


@pytest.mark.skipif(FASTAPI < (0, 160), reason='the documents show what the newest FastAPI answers')
@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda it: f'{it.parent.name}/{it.name}')
def test_every_command_prints_what_the_document_says(document):
    if shutil.which('curl') is None:
        assert os.environ.get('CI') != 'true', 'curl is missing'
        pytest.skip('curl is missing')
    text, shown = document.read_text(), ''
    for _ in range(5):  # a second that has passed between two commands shows in the lifetime that is left
        shown = as_run(document)
        if shown == text:
            break
    assert shown == text


def test_every_example_is_named_in_their_readme():
    text = (EXAMPLES / 'README.md').read_text()
    assert all(path.name in text for path in EXAMPLES.glob('*.py'))


def test_the_tour_shows_a_miss_a_hit_and_a_304():
    run = subprocess.run(  # noqa: S603, our own command
        [sys.executable, EXAMPLES / 'tour.py'], check=True, capture_output=True, text=True
    )
    rows = re.findall(r'^GET .*?(\d{3})\s+(MISS|HIT)\s+[\d.]+ ms\s+("\S+")\s+(.+)$', run.stdout, re.MULTILINE)
    assert [row[:2] for row in rows] == [('200', 'MISS'), ('200', 'HIT'), ('304', 'HIT'), ('200', 'HIT')]
    assert len({tag for _, _, tag, _ in rows}) == 1
    assert rows[2][3] == '(no body)'


def test_the_example_of_the_readme_does_what_the_readme_says(tmp_path):
    first, then, login, _ = PYTHON.findall((ROOT / 'README.md').read_text())
    application = 'app = FastAPI()\napp.include_router(router)\n'
    (tmp_path / 'main.py').write_text(first.replace(application, '') + then + login + application)
    client = TestClient(runpy.run_path(str(tmp_path / 'main.py'))['app'])
    paths = ('/squares?limit=3', '/squares?limit=3', '/squares?limit=4', '/squares', '/squares?limit=10')
    responses = [client.get(path) for path in paths]
    assert marks(*responses) == ['MISS', 'HIT', 'MISS', 'MISS', 'HIT']
    assert responses[1].json() == [0, 1, 4]
    assert client.get(paths[0], headers={'if-none-match': responses[0].headers['etag']}).status_code == 304
    client.get('/users/7')
    client.put('/users/7/name?name=Grace')
    assert client.get('/users/7').json() == 'Grace'
    assert [client.get('/me', headers={'authorization': f'Bearer {it}'}).status_code for it in ('secret', 'no')] == [
        200,
        401,
    ]


SNIPPETS = [
    'backends', 'compression', 'configuration', 'deploying', 'functions', 'herds', 'installation', 'migration',
    'performance', 'recipes', 'safety', 'sessions', 'templates', 'testing', 'tutorial', 'watching',
]  # fmt: skip


def test_every_snippet_of_every_page_is_run():
    elsewhere = {ROOT / 'docs' / 'other-libraries.md'}  # by tests/add_ons
    run = {*DOCUMENTS, *elsewhere, ROOT / 'README.md', *(ROOT / 'docs' / f'{page}.md' for page in SNIPPETS)}
    pages = [*ROOT.glob('*.md'), *ROOT.glob('docs/*.md'), *ROOT.glob('examples/*.md')]
    with_python = {page for page in pages if PYTHON.search(page.read_text())}
    assert with_python <= run
    assert {page for page in pages if '```console' in page.read_text()} <= set(DOCUMENTS)


def test_the_table_of_the_readme_is_that_of_the_comparison():
    tables = [
        [line for line in (ROOT / page).read_text().splitlines() if line.startswith('|') and line.count('|') == 5]
        for page in ('README.md', 'docs/comparison.md')
    ]
    assert tables[0] == tables[1]


def test_the_readme_is_short():
    assert len((ROOT / 'README.md').read_bytes()) <= 8_000


def test_ci_runs_the_test_command_of_the_readme():
    [found] = [it for it in (ROOT / '.ci' / 'run').read_text().splitlines() if it.startswith('command=')]
    command = ('bash', '-c', f'{found}; echo "$command"')
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603, ours
    assert said.stdout.endswith('&& uv run pytest -n 2\n')


def test_the_first_command_installs_little():
    if shutil.which('uv') is None:
        assert os.environ.get('CI') != 'true', 'uv is missing'
        pytest.skip('uv is missing')
    text = (ROOT / 'README.md').read_text()
    command = re.search(r'^pip install uv && uv run (.+) python examples/tour.py$', text, re.MULTILINE)[1]
    exported = subprocess.run(  # noqa: S603, our own command
        ['uv', 'export', '--quiet', '--no-hashes', '--no-annotate', '--no-header', *command.split()],  # noqa: S607
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert 'uvicorn' in {line.split('=')[0] for line in exported}
    assert 10 < len(exported) <= 35


def test_every_extra_is_listed():
    extras = set(metadata('fastapi-caching-route').get_all('Provides-Extra'))
    text = (ROOT / 'docs' / 'options.md').read_text()
    assert not [name for name in extras if f'| `[{name}]` |' not in text]


def test_the_page_of_options_names_every_option():
    text = (ROOT / 'docs' / 'options.md').read_text()
    for options in (CacheOptions, RouteOptions):
        assert not [name for name in options.__annotations__ if f'`{name}`' not in text]


@pytest.mark.parametrize('page', SNIPPETS)
def test_the_snippets_of_a_page_run(page, capsys):
    snippets = PYTHON.findall((ROOT / 'docs' / f'{page}.md').read_text())
    known: dict = {}
    for snippet in snippets:
        capsys.readouterr()
        exec(snippet, known)  # noqa: S102, it is ours
        said = re.findall(r'^# (.+)$', snippet, re.MULTILINE)
        assert capsys.readouterr().out.splitlines() == said
    assert snippets


@pytest.mark.parametrize('folder', ['promises', 'sessions', 'models'])
def test_every_test_that_the_list_of_promises_names_is_there(folder):
    text = (ROOT / 'tests' / folder / 'README.md').read_text()
    tests = '\n'.join(path.read_text() for path in (ROOT / 'tests').rglob('test_*.py'))
    named = re.findall(r'`(test_\w+)`', text)
    assert len(named) >= 20
    assert not [name for name in named if f'def {name}(' not in tests]


@pytest.mark.parametrize('source', sorted((ROOT / 'docs' / 'diagrams').glob('*.[dm]*')), ids=lambda it: it.stem)
def test_a_drawing_says_what_its_source_says(source):
    if source.suffix == '.dot':
        said = [part for label in re.findall(r'label="([^"]+)"', source.read_text()) for part in label.split(r'\n')]
    else:
        said = re.findall(r'(?:: | as |alt |else )(.+)$', source.read_text(), re.MULTILINE)
    drawn = ''.join(re.findall(r'<text.*?</text>', source.with_suffix('.svg').read_text(), re.DOTALL))
    words = [part.strip() for part in re.findall(r'>([^<>]+)<', html.unescape(drawn)) if part.strip()]
    assert said
    assert not [line for line in said if line.strip() not in words and line.strip() not in ' '.join(words)]


PROSE = [*ROOT.glob('*.md'), *ROOT.glob('docs/*.md'), *ROOT.glob('examples/*.md')]
OF_THE_READER = {'main.py', 'app.py'}


@pytest.mark.parametrize('page', [it for it in PROSE if it.name != 'CHANGELOG.md'], ids=lambda it: it.name)
def test_every_file_that_a_page_names_is_there(page):
    named = set(re.findall(r'`([\w/.]+\.py)\b', page.read_text())) - OF_THE_READER
    places = [ROOT, *(ROOT / it for it in ('fastapi_caching_route', 'tests', 'tests/add_ons'))]
    places.extend((ROOT / 'fastapi_caching_route').glob('_*'))
    places.extend([EXAMPLES] if page.parent == EXAMPLES else [])
    assert not [name for name in named if not any((place / name).exists() for place in places)]


@pytest.mark.parametrize('page', PROSE, ids=lambda it: it.name)
def test_no_page_was_left_with_both_sides_of_a_merge(page):
    assert not re.search(r'^(?:<<<<<<<|>>>>>>>) ', page.read_text(), re.MULTILINE)


@pytest.mark.parametrize('drawing', ['exchange', 'run'])
def test_every_function_in_a_drawing_is_there(drawing):
    package = _text_of('*')
    named = [found.groups() for line in _labels_in(drawing) if (found := re.match(r'(\w+)\.(\w+)(?: |$)', line))]
    assert len(named) >= 8
    for owner, name in named:
        text = package.partition(f'class {owner}')[2] if owner[0].isupper() else _text_of(owner)
        assert re.search(rf'^ *(?:async )?(?:def|class) {name}\b', text, re.MULTILINE), f'{owner}.{name}'


def _labels_in(drawing):
    source = (ROOT / 'docs' / 'diagrams' / f'{drawing}.dot').read_text()
    return [line for label in re.findall(r'label="([^"]+)"', source) for line in label.split(r'\n')]


def _text_of(module):
    return '\n'.join(path.read_text() for path in (ROOT / 'fastapi_caching_route').rglob(f'{module}.py'))


def test_the_reference_has_every_public_name():
    text = (ROOT / 'docs' / 'reference.md').read_text()
    named = set(re.findall(r'^::: fastapi_caching_route\.(\w+)$', text, re.MULTILINE))
    assert named == set(fastapi_caching_route.__all__)
