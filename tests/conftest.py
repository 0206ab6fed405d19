"""Fixtures for all tests."""

import pytest


@pytest.fixture
def anyio_backend():
    """Coroutine tests run on asyncio alone, as aiocache does."""
    return 'asyncio'
