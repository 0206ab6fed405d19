"""The command line, run against apps and stores."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fastapi_caching_route import FastAPICache
from fastapi_caching_route.__main__ import main
from tests.support import asgi_scope

APP = """
import os
from fastapi import APIRouter, FastAPI
from fastapi_caching_route import CachingRoute, FastAPICache
from fastapi_caching_route.console import console_router
cache = FastAPICache.from_env()
router, app = APIRouter(route_class=CachingRoute), FastAPI()
@router.get('/items/{item}')
@cache(ttl=600, tags=['item:{item}'], namespace='items', stale_while_revalidate=60)
async def get_item(item: int, page: int = 1):
    return {'item': item}
@router.get('/private')
@cache(ttl=600, store_if=lambda _: False)
async def private():
    return 1
app.include_router(router)
app.include_router(console_router(cache, unguarded=True), prefix='/cache')
"""

FAULTY = """
from fastapi import FastAPI
from fastapi_caching_route import FastAPICache
cache, app = FastAPICache(), FastAPI()
@app.get('/')
@cache(ttl=60)
async def forgotten():
    return 1
"""

FACTORY = """
import os
from contextlib import asynccontextmanager
from fastapi import APIRouter, FastAPI
from fastapi_caching_route import CachingRoute, FastAPICache
cache = FastAPICache.deferred()
router = APIRouter(route_class=CachingRoute)
@router.get('/items/{item}')
@cache(ttl=600)
async def get_item(item: int):
    return item
@cache.function(ttl=600)
async def rate():
    return 1
@router.get('/rate')
@cache(ttl=600)
async def get_rate():
    return await rate()
def create_app(title: str = 'shop', *more, **options):
    @asynccontextmanager
    async def lifespan(app):
        cache.use(os.environ['FASTAPI_CACHE_URL'])
        async with cache.lifespan(app):
            yield
    app = FastAPI(title=title, lifespan=lifespan)
    app.include_router(router)
    return app
def needs(settings, title): ...
def fails():
    os.environ['NONE_THERE']
def returns_nothing(): ...
"""


@pytest.fixture(params=['redis', 'lmdb'])
def url(request, redis_port, namespace, tmp_path):
    where = f'redis://127.0.0.1:{redis_port}/0' if request.param == 'redis' else f'lmdb://{tmp_path}/store'
    return f'{where}?namespace={namespace}'


@pytest.fixture
def ran(tmp_path, url, monkeypatch, capsys):
    """Runs a command in the folder of an app; returns its output, if it ends with this code."""
    (tmp_path / 'shop.py').write_text(APP)
    (tmp_path / 'faulty.py').write_text(FAULTY)
    (tmp_path / 'factory.py').write_text(FACTORY)
    (tmp_path / 'needy.py').write_text("import os\nos.environ['NONE_THERE']\n")
    (tmp_path / 'ending.py').write_text('raise SystemExit(0)\n')
    (tmp_path / 'broken.py').write_text('x = (\n')
    (tmp_path / 'latin.txt').write_bytes('/ü'.encode('latin-1'))
    (tmp_path / 'marked.txt').write_text('/items/1\n', encoding='utf-8-sig')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', [*sys.path])

    def run(*arguments, code=0, columns=200, **environment):
        for name, value in {'FASTAPI_CACHE_URL': url, 'COLUMNS': str(columns), **environment}.items():
            monkeypatch.setenv(name, value)
        for module in ('shop', 'faulty', 'factory', 'needy', 'ending', 'broken'):
            sys.modules.pop(module, None)
        capsys.readouterr()
        try:
            ended = main([*arguments])
        except SystemExit as stopped:
            ended = stopped.code
        said = capsys.readouterr()
        assert ended == code, said.err
        assert 'Traceback' not in said.err
        return said.err if code > 1 else said.out

    return run


def test_a_shop_is_warmed_up_listed_shown_and_invalidated(ran, tmp_path):
    (tmp_path / 'urls.txt').write_text('# some items\n/items/1\n\n/items/2?page=2\n')
    assert ran('warm', 'shop:app', '--file', 'urls.txt', '/items/3').splitlines()[-1].startswith('3 stored, 0 there')
    assert '1 not stored' in ran('warm', 'shop:app', '/items/1', '/private', code=1)
    found = json.loads(ran('entries', 'shop:app', '--json'))
    assert {it['path'] for it in found} == {'/items/1', '/items/2', '/items/3'}
    assert [it['path'] for it in json.loads(ran('entries', 'shop:app', '--tag', 'item:2', '--json'))] == ['/items/2']
    table = ran('entries', 'shop:app', '--route', '/items/{item}')
    assert '/items/3' in table
    assert '3 entries' in table
    shown = ran('show', 'http://localhost/items/2?page=2', 'shop:app')
    assert 'item:2' in shown
    assert '1 entry for /items/2' in shown
    assert re.search(r'^age +\d+\.\d{3} s$', shown, re.MULTILINE)
    ran('invalidate', 'shop:app', '--tag', 'item:2')
    ran('invalidate', 'shop:app', '--path', '/items/3')
    assert [it['path'] for it in json.loads(ran('entries', 'shop:app', '--json'))] == ['/items/1']
    ran('invalidate', 'shop:app', '--endpoint', 'get_item', '--soft')
    (stale,) = json.loads(ran('entries', 'shop:app', '--json'))
    assert stale['ttl_left'] <= 0
    ran('invalidate', 'shop:app', '--namespace', 'items')
    assert json.loads(ran('entries', 'shop:app', '--json')) == []
    assert len(json.loads(ran('entries', 'shop:app', '--json', '--dead'))) == 3


def test_a_store_is_listed_and_invalidated_by_its_url(ran, url):
    ran('warm', 'shop:app', '/items/1', '/items/2')
    assert len(json.loads(ran('entries', '--url', url, '--json'))) == 2
    assert len(json.loads(ran('entries', '--url', url, '--json', '--limit', '1'))) == 1
    assert json.loads(ran('invalidate', '--url', url, '--all', '--json')) == {'invalidated': True, 'soft': False}
    assert json.loads(ran('entries', '--url', url, '--json')) == []


def test_an_app_of_a_function_whose_cache_gets_its_store_when_it_starts_is_served_by_the_url(ran, url):
    assert 'GET /items/{item}' in ran('explain', 'factory:create_app')
    app = ('factory:create_app', '--url', url)
    assert '3 stored' in ran('warm', *app, '/items/1', '/items/2', '/rate')
    ran('invalidate', *app, '--endpoint', 'factory.get_item')
    assert sorted(it['path'] for it in json.loads(ran('entries', *app, '--json'))) == ['', '/rate']
    assert 'factory.rate' in ran('entries', *app)


async def test_the_statistics_of_workers_are_shown(ran, url, monkeypatch):
    monkeypatch.setattr('fastapi_caching_route._routes.all_workers.FIRST_SECONDS', 0)
    monkeypatch.setenv('FASTAPI_CACHE_URL', url)
    module = {}
    exec(APP, module)  # noqa: S102, it is ours
    cache: FastAPICache = module['cache']

    async def answer():
        async def send(_message):
            pass

        async def receive():
            return {'type': 'http.request', 'body': b'', 'more_body': False}

        await module['app'](asgi_scope(path='/items/1'), receive, send)

    for _ in range(4):
        await answer()
    async with cache:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            (found,) = json.loads(await asyncio.to_thread(ran, 'stats', 'shop:app', '--json'))
            if found['workers']:
                break
        assert (found['total']['hits'], found['total']['misses'], found['total']['hit_ratio']) == (3, 1, 0.75)
        table = await asyncio.to_thread(ran, 'stats', '--url', url)
    assert '75.0%' in table
    assert '/items/{item}' in table
    assert 'the numbers of 1 worker\n' in table


@pytest.mark.parametrize(
    'arguments',
    [('stats', 'shop:app'), ('entries', 'shop:app'), ('invalidate', 'shop:app', '--all'), ('warm', 'shop:app', '/x')],
    ids=lambda it: it[0],
)
def test_a_store_of_one_process_is_refused_with_the_reason(ran, arguments):
    said = ran(*arguments, code=3, FASTAPI_CACHE_URL='memory://')
    assert 'would act on its own memory' in said


@pytest.mark.parametrize('url', ['redis://127.0.0.1:1'])
@pytest.mark.parametrize(
    ('arguments', 'code', 'said'),
    [
        (('entries', 'nowhere:app'), 2, "No module named 'nowhere'"),
        (('entries',), 2, 'give an app (module:name) or --url'),
        (('entries', 'shop:app', '--url', 'redis://localhost'), 2, 'and not both'),
        (('entries', '--url', 'ftp://localhost'), 2, 'ftp'),
        (('invalidate', 'shop:app'), 2, 'say what to invalidate'),
        (('invalidate', 'shop:app', '--endpoint', 'unknown'), 2, 'no cached endpoint has this name'),
        (('invalidate', '--url', 'redis://localhost', '--endpoint', 'get_item'), 2, 'needs the app'),
        (('warm', 'shop:app'), 2, 'give URLs, or --file'),
        (('warm', 'shop:app', '--file', 'nowhere.txt'), 2, 'nowhere.txt'),
        (('warm', 'shop:app', '/x', '--header', 'wrong'), 2, '--header takes'),
        (('warm', 'shop:app', '/x', '--header', 'a: €'), 2, 'one of the headers'),
        (('warm', 'shop:app', '/x', '--header', 'a\nb: c'), 2, 'one of the headers'),
        (('warm', 'shop:app', '/x', '--base-url', 'http://[::1'), 2, 'base_url must be like'),
        (('warm', 'shop:app', '/x', '--base-url', 'http://h:x'), 2, 'base_url must be like'),
        (('warm', 'shop:app', '/x', '--concurrency', '0'), 2, 'at least 1'),
        (('warm', 'shop:app', '--file', 'latin.txt'), 2, 'latin.txt'),
        (('warm', 'shop:app', '--file', '.'), 2, 'directory'),
        (('show', 'http://[::1', 'shop:app'), 2, 'this is no URL'),
        (('show', 'items', 'shop:app'), 2, 'must begin with a slash'),
        (('entries', 'shop:app', '--limit', '-1'), 2, 'at least 1'),
        (('entries', 'shop:app', '--limit', '0'), 2, 'at least 1'),
        (('entries', 'shop:app', '--limit', 'x'), 2, 'at least 1'),
        (('entries', 'shop:app', '--path', 'items'), 2, 'must begin with a slash'),
        (('entries', 'shop:app', '\x1b[31m'), 2, r'unrecognized arguments: \x1b[31m'),
        (('invalidate', 'shop:app', '--tag', 'a', '--prefix'), 2, '--prefix needs --path'),
        (('invalidate', 'shop:app', '--tag', ''), 2, 'a tag must not be empty'),
        (('invalidate', 'shop:app', '--path', 'items'), 2, 'must begin with a slash'),
        (('explain', 'needy:app'), 2, "KeyError: 'NONE_THERE'"),
        (('explain', 'needy:app'), 2, 'needy.py, line 2'),
        (('explain', 'ending:app', '--check'), 2, 'SystemExit'),
        (('explain', 'os:environ'), 2, 'but an object of type _Environ'),
        (('explain', 'factory:needs'), 2, 'but a function that needs settings, title'),
        (('explain', 'factory:fails'), 2, "KeyError: 'NONE_THERE'"),
        (('explain', 'factory:returns_nothing'), 2, 'but an object of type NoneType'),
        (('warm', 'factory:create_app', '/items/1'), 3, 'give the URL of its store as --url, too'),
        (('warm', 'factory:create_app', '/items/1', '--url', 'ftp://localhost'), 2, 'ftp'),
        (('entries', 'broken:app'), 2, 'broken.py, line 1'),
        (('entries', '--url', 'redis://[::1'), 2, 'the URL'),
        (('entries', '--url', 'memcached://127.0.0.1'), 3, 'this backend cannot list its keys'),
        (('stats', '--url', 'redis://127.0.0.1:1'), 4, 'cannot be read'),
        (('invalidate', '--url', 'redis://127.0.0.1:1', '--all'), 4, 'has not taken the invalidation'),
    ],
    ids=lambda it: ' '.join(it) if isinstance(it, tuple) else None,
)
def test_a_command_that_cannot_be_done_says_why(ran, arguments, code, said):
    assert said in ran(*arguments, code=code)


COMMANDS = (
    *(('--help',), ('explain', 'shop:app'), ('explain', 'shop:app', '--json'), ('entries', 'shop:app')),
    *(('entries', 'shop:app', '--json'), ('stats', 'shop:app'), ('show', '/items/1', 'shop:app')),
    *(('invalidate', 'shop:app', '--all'), ('warm', 'shop:app', '/items/1'), ('warm', 'shop:app', '/x', '--json')),
)


@pytest.mark.parametrize('arguments', COMMANDS, ids=' '.join)
def test_output_that_cannot_be_written_ends_a_command_with_the_reason(ran, arguments, monkeypatch):
    with Path('/dev/full').open('w') as full:
        monkeypatch.setattr(sys, 'stdout', full)
        assert 'No space left' in ran(*arguments, code=5)


@pytest.mark.parametrize('arguments', COMMANDS, ids=' '.join)
def test_a_pipe_that_nobody_reads_ends_a_command_silently(ran, arguments, monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, 'w') as pipe:  # noqa: PTH123, it has no path
        monkeypatch.setattr(sys, 'stdout', pipe)
        assert ran(*arguments, code=5) == ''


def test_what_a_terminal_cannot_show_is_escaped(ran, monkeypatch, tmp_path):
    with (tmp_path / 'said').open('w', encoding='ascii') as terminal:
        monkeypatch.setattr(sys, 'stdout', terminal)
        ran('show', '/ü', 'shop:app')
    assert (tmp_path / 'said').read_text() == '0 entries for /\\xfc\n'


def test_a_file_may_begin_with_a_byte_order_mark(ran):
    assert ran('warm', 'shop:app', '--file', 'marked.txt').startswith('1 stored')


@pytest.mark.parametrize('url', ['memory://'])
def test_explain_can_be_a_check(ran):
    assert 'forgotten is decorated with @cache' in ran('explain', 'faulty:app', '--check', code=1)
    ran('explain', 'faulty:app')
    ran('explain', 'shop:app', '--check')


@pytest.mark.parametrize('url', ['memory://'])
def test_explain_can_be_read_at_eighty_columns(ran):
    said = ran('explain', 'shop:app', columns=80)
    assert max(map(len, said.splitlines())) <= 80
    assert 'GET /items/{item}' in said
    assert 'query page' in said
    assert '/cache' not in said
    assert 'and 11 routes of the console, none of which is cached' in said


def test_the_help_names_the_exit_codes(capsys):
    with pytest.raises(SystemExit) as ended:
        main(['--help'])
    assert ended.value.code == 0
    assert 'exit codes:' in capsys.readouterr().out


def test_the_script_is_installed():
    script = Path(sys.executable).parent / 'fastapi-caching-route'
    said = subprocess.run([script, '--help'], capture_output=True, text=True, check=True)  # noqa: S603, our own
    assert 'invalidate' in said.stdout
