"""What type checkers and `get_type_hints` see of the public names."""

import inspect
import subprocess
import sys
import typing

import pytest

import fastapi_caching_route
from tests.servers import ROOT


def public_callables():
    for name in fastapi_caching_route.__all__:
        it = getattr(fastapi_caching_route, name)
        if inspect.isclass(it) and it.__module__.startswith('fastapi_caching_route'):
            yield from ((f'{name}.{of}', member) for of, member in vars(it).items() if inspect.isfunction(member))
        elif inspect.isfunction(it):
            yield name, it


@pytest.mark.parametrize(
    ('name', 'function'), list(public_callables()), ids=lambda it: it if isinstance(it, str) else ''
)
def test_the_hints_of_every_public_callable_can_be_had(name, function):
    assert typing.get_type_hints(function, include_extras=True) is not None


def test_every_public_name_can_be_imported_and_is_listed_in_order():
    names = fastapi_caching_route.__all__
    assert [name for name in names if not hasattr(fastapi_caching_route, name)] == []
    assert len(set(names)) == len(names)


def test_a_decorated_endpoint_is_itself_for_mypy():
    command = [sys.executable, '-m', 'mypy', '--strict', 'typing_tests']
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)  # noqa: S603, PLW1510, its words are shown
    assert run.returncode == 0, run.stdout
