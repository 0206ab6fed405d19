"""The order of the package, held by reading its imports."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

OURS = 'fastapi_caching_route'
PACKAGE = Path(__file__).parent.parent / OURS

ORDER = (
    *('__main__', '_cli', 'main', 'sessions', 'testing', '__init__', 'logs', 'otel', 'prometheus'),
    *('console', '_console', 'router', 'cache', 'explain', 'keys', 'route', 'context'),
    *(
        '_functions',
        '_routes',
        '_exchange',
        '_store',
        '_fastapi',
        'stats',
        'warming',
        'entries',
        'memory',
        'lmdb',
        'redis',
        'key_value',
        'params',
        'options',
        'near',
        'compression',
        'policy',
        'callables',
    ),
    *('_backends', 'control', 'surrogates', 'purge', '_core', '_concurrency', 'events', 'errors', '_http'),
)
"""An import goes to something further on in this list. It holds for imports in functions and for type checkers, too.

`context` is above `_routes`, since a `CacheContext` finds the caches of its app, to invalidate there.
"""

INSIDE = {
    '_cli': ('arguments', 'acting', 'places', 'reporting', 'printing', 'ending'),
    'sessions': (
        *(
            'request_session',
            'states',
            'sessions',
            'documenting',
            'dependencies',
            'finding',
            'session',
            'keeping',
            'user_lists',
        ),
        *(
            'carrying',
            'places',
            'live',
            'errors',
            'binding',
            'stored',
            'tokens',
            'transport',
            'jwt_keys',
            'config',
            'events',
        ),
    ),
    '_console': ('asking', 'acting', 'listing', 'counting', 'ending', 'guarding', 'messages'),
    '_functions': (
        *(
            'decorating',
            'get_or_set',
            'cached',
            'definition',
            'calling',
            'asking',
            'planning',
            'binding',
            'results',
            'values',
            'threads',
            'locks',
        ),
    ),
    '_routes': (
        *(
            'all_workers',
            'counted',
            'erasing',
            'listed',
            'warming_up',
            'start_up',
            'installing',
            'by_hand',
            'replacing',
            'reached',
            'planning',
            'decorating_writes',
            'decorating',
            'owning',
            'hooks',
            'description',
            'targets',
            'mistaken',
            'caches',
            'decoration',
            'building',
            'settings',
        ),
        *('apps', 'namesakes', 'unserved', 'requested', 'writes', 'purge_check', 'purging', 'in_purges'),
    ),
    '_exchange': (
        *('forecast', 'arrival', 'exchange', 'overtaking', 'run', 'stale'),
        *('receiving', 'passing', 'keeping', 'placing', 'verdict', 'errand'),
        *(
            'guarded',
            'guards',
            'herd',
            'keying',
            'compressing',
            'hit',
            'lookup',
            'call',
            'account',
            'plan',
            'runtime',
            'user_code',
            'coded_bodies',
            'negotiating',
            'switch',
            'messages',
        ),
    ),
    '_store': (
        *(
            'opening',
            'by_url',
            'deferred',
            'lock',
            'variants',
            'given',
            'local',
            'remote',
            'listing',
            'at_once',
            'copies',
            'remote_visit',
            'soon',
        ),
        *('parts', 'debts', 'withdrawals'),
        *(
            'ledger',
            'marks',
            'moments',
            'compressed',
            'wire',
            'heads',
            'latest',
            'ledgers',
            'visit',
            'board',
            'condition',
            'own_tokens',
            'tokens',
            'held_tokens',
            'telling',
        ),
    ),
    '_fastapi': (
        *(
            'declared',
            'admission',
            'solving',
            'compiled',
            'reading',
            'extended',
            'early_values',
            'option_dependencies',
            'read_steps',
        ),
        *('write_log', 'proceeding'),
        *(
            'builder_inputs',
            'inputs',
            'nodes',
            'key_rules',
            'key_parts',
            'security',
            'parameters',
            'plain',
            'refusing',
            'schemas',
        ),
        *('writing', 'path_values', 'own', 'documenting', 'likeness', 'serving', 'handlers', 'noting', 'noted_scope'),
        *('noted_values', 'callers', 'limits', 'ending', 'plain_requests', 'effective', 'endpoints'),
    ),
    '_backends': (
        *(
            'commands',
            'listing',
            'records',
            'linked',
            'link',
            'batch',
            'record_commands',
            'lmdb_driver',
            'lmdb_pairs',
            'in_process',
            'drivers',
            'redis_journal',
            'redis_heads',
            'redis_known',
            'plugins',
            'codec',
            'clients',
            'redis_clients',
            'urls',
            'breaker',
            'outage',
        ),
        *(
            'lmdb_store',
            'lmdb_writer',
            'lmdb_jobs',
            'lmdb_journal',
            'journal',
            'lmdb_table',
            'lmdb_environment',
            'lmdb_forks',
            'lmdb_files',
            'lmdb_folder',
        ),
        *('eviction', 'aiocache'),
    ),
    '_core': (
        *(
            'policy_checks',
            'checks',
            'durations',
            'declared',
            'ready',
            'labels',
            'variants',
            'read_log',
            'given_paths',
            'names',
            'key_names',
            'owner',
            'key',
            'inputs',
            'raw_request',
            'read_names',
        ),
        *(
            'as_json',
            'lifespan_state',
            'plain',
            'form',
            'json_value',
            'recorder',
            'entry',
            'codings',
            'written',
            'counts',
            'minutes',
            'wishes',
            'reasons',
            'asgi',
        ),
    ),
    '_concurrency': ('flights', 'pauses', 'tasks', 'observers', 'lateness', 'context_variables', 'workers'),
    '_http': (
        *(
            'storing',
            'freshness',
            'terms',
            'structured',
            'sending',
            'reuse',
            'coding',
            'representation',
            'ranges',
            'conditional',
            'dates',
        ),
        *('cache_status', 'cache_control', 'fields'),
    ),
}
"""The files of each subpackage, in the same way."""

NEVER = {
    *(('_exchange', '_fastapi'), ('_store', '_fastapi'), ('_fastapi', '_store'), ('_fastapi', '_exchange')),
    *(
        ('_backends', '_core'),
        ('_concurrency', '_core'),
        ('memory', '_core'),
        ('_core', '_concurrency'),
    ),
}
"""Imports that would go down and are wrong all the same."""

NOT_YET = {}
"""Imports that go up, or are wrong, and are to end."""

PURE = ('_core', '_http', 'policy', 'control', 'errors')
FRAMEWORK = {'fastapi', 'starlette', 'pydantic', 'aiocache', 'redis'}
IMPURE = {'asyncio', 'anyio', 'time', 'random', 'secrets', 'logging', 'threading', 'os'}
INSIDE_OF_FASTAPI = {
    *('fastapi.dependencies.models', 'fastapi.dependencies.utils', 'fastapi._compat', 'fastapi.routing'),
    'starlette._utils',
}
FILES = {path.relative_to(PACKAGE).with_suffix('').as_posix(): path for path in sorted(PACKAGE.rglob('*.py'))}


def imported(name):
    """The files of ours and the modules of others that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(FILES[name].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (_file(node.module, alias.name) for alias in node.names)


def _file(module, name):
    if module.partition('.')[0] != OURS:
        return module
    inside = module.partition('.')[2].replace('.', '/')
    file = f'{inside}/{name}'.lstrip('/')
    return file if file in FILES else inside or '__init__'


def others_in(name):
    return {it for it in imported(name) if it not in FILES}


def ours_in(name):
    return {it for it in imported(name) if it in FILES} - {name}


def goes_down(importer, file):
    subpackage, other = importer.partition('/')[0], file.partition('/')[0]
    if subpackage != other:
        return ORDER.index(subpackage) < ORDER.index(other) and (subpackage, other) not in NEVER
    order = ('__init__', *INSIDE[subpackage])
    return order.index(importer.partition('/')[2]) < order.index(file.partition('/')[2])


@pytest.mark.parametrize('name', FILES)
def test_imports_go_down(name):
    assert not [file for file in ours_in(name) if not goes_down(name, file)]


@pytest.mark.parametrize('subpackage', INSIDE)
def test_a_subpackage_lists_its_files_in_their_order(subpackage):
    text = ast.get_docstring(ast.parse((PACKAGE / subpackage / '__init__.py').read_text()))
    listed = re.findall(r'^(\w+)  +\S', text, re.MULTILINE)
    assert tuple(listed) == INSIDE[subpackage]


def test_each_file_has_its_place():
    places = {f'{subpackage}/{file}' for subpackage, files in INSIDE.items() for file in (*files, '__init__')}
    assert {name for name in FILES if '/' in name} == places
    assert {name for name in FILES if '/' not in name} | set(INSIDE) == set(ORDER)


@pytest.mark.parametrize('name', [it for it in FILES if it.partition('/')[0] in PURE])
def test_what_is_pure_knows_neither_framework_nor_clock(name):
    tree = ast.parse(FILES[name].read_text())
    waiting = (ast.Await, ast.AsyncFor, ast.AsyncWith)
    assert not {it.partition('.')[0] for it in others_in(name)} & (FRAMEWORK | IMPURE)
    assert not [node for node in ast.walk(tree) if isinstance(node, waiting)]
    assert all(is_only_declared(node) for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef))


def test_no_two_files_have_a_class_of_one_name():
    trees = [ast.parse(path.read_text()) for path in FILES.values()]
    names = [node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]
    assert not [name for name, times in Counter(names).items() if times > 1]


def is_only_declared(function):
    return ast.unparse(function.body[-1]) == '...'


@pytest.mark.parametrize('name', [it for it in FILES if it.partition('/')[0] in {'_exchange', '_store'}])
def test_the_exchange_and_the_store_know_nothing_of_the_framework(name):
    assert not {it.partition('.')[0] for it in others_in(name)} & {'fastapi', 'starlette', 'pydantic'}


def test_only_one_subpackage_knows_the_inside_of_fastapi():
    knowing = {name.partition('/')[0] for name in FILES if INSIDE_OF_FASTAPI & others_in(name)}
    assert knowing <= {'_fastapi', '_console', 'route'}
    for name in ('_console/guarding', 'route'):  # each is a class of routes
        assert others_in(name) & INSIDE_OF_FASTAPI == {'fastapi.routing'}


@pytest.mark.parametrize('name', FILES)
def test_a_file_can_be_read_in_one_go(name):
    # What users see of `FastAPICache` stands in one class, with the documentation of every method.
    limit = 750 if name == 'cache' else 300
    assert len(FILES[name].read_text().splitlines()) <= limit
