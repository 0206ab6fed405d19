"""The layers of the package, held by reading its imports."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / 'fastapi_caching_route'
OURS = 'fastapi_caching_route'
FRAMEWORK = {'fastapi', 'starlette', 'pydantic', 'aiocache'}
IMPURE = {'asyncio', 'time', 'random', 'secrets', 'logging', 'threading'}
PURE = (
    '_key',
    '_varying',
    '_form',
    '_recorder',
    '_entry',
    '_wire',
    '_checks',
    '_options',
    '_names',
    '_fate',
    '_written',
    'control',
    'policy',
    'errors',
)


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def tops(path):
    return {name.partition('.')[0] for name in imports(path)}


@pytest.mark.parametrize('path', sorted((PACKAGE / '_http').glob('*.py')), ids=lambda it: it.name)
def test_http_knows_nothing_but_http(path):
    assert not [name for name in imports(path) if name.startswith(OURS) and not name.startswith(f'{OURS}._http')]
    assert not tops(path) & (FRAMEWORK | IMPURE)


@pytest.mark.parametrize('name', PURE)
def test_the_pure_modules_know_neither_framework_nor_clock(name):
    path = PACKAGE / f'{name}.py'
    assert not tops(path) & (FRAMEWORK | IMPURE)
    allowed = {f'{OURS}.{it}' for it in PURE}
    assert not [it for it in imports(path) if it.startswith(OURS) and it not in allowed and '._http' not in it]
    assert not [
        node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.AsyncFunctionDef | ast.Await)
    ]


@pytest.mark.parametrize('name', ['_exchange', '_hit', '_finding', '_fetch', '_keeping', '_herd', '_visit', '_store'])
def test_the_exchange_and_the_store_know_nothing_of_the_framework(name):
    assert not tops(PACKAGE / f'{name}.py') & {'fastapi', 'starlette', 'pydantic'}
    assert not [it for it in imports(PACKAGE / f'{name}.py') if it.startswith(f'{OURS}._fastapi')]


def test_only_one_folder_knows_the_inside_of_fastapi():
    inside = {'fastapi.dependencies.models', 'fastapi.dependencies.utils', 'fastapi._compat', 'fastapi.routing'}
    knowing = {path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob('*.py') if inside & set(imports(path))}
    assert knowing <= {'_fastapi', 'route.py'}
    assert {it for it in imports(PACKAGE / 'route.py') if it in inside} == {'fastapi.routing'}


@pytest.mark.parametrize('path', sorted(PACKAGE.rglob('*.py')), ids=lambda it: it.name)
def test_a_file_can_be_read_in_one_go(path):
    # What users see of `FastAPICache` stands in one class, with the documentation of every option.
    limit = 600 if path.name == 'cache.py' else 300
    assert len(path.read_text().splitlines()) <= limit
