"""Each test begins with a guard that bans nobody."""

import pytest

from tests.fastapi.keyed import banned
from tests.fastapi.ways import WAYS, run_guards

GUARDED = {
    *('test_guards', 'test_explicit_dependencies', 'test_overrides', 'test_dependency_endings'),
    *('test_dependency_headers', 'test_exception_handlers', 'test_handed_values', 'test_identity'),
    *('test_invalid_values', 'test_refusing_dependencies'),
}
"""The modules whose guards run in each way."""


def pytest_generate_tests(metafunc):
    """Run the tests of these modules in each way."""
    if metafunc.module.__name__.rpartition('.')[2] in GUARDED:
        metafunc.fixturenames.append('guards_run')
        metafunc.parametrize('guards_run', WAYS, indirect=True)


@pytest.fixture
def guards_run(request, monkeypatch):
    """In which way guards run."""
    run_guards(request.param, monkeypatch)


@pytest.fixture(autouse=True)
def nobody_is_banned():
    banned.clear()
