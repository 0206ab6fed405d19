"""Each test begins with a guard that bans nobody."""

import pytest

from tests.fastapi.keyed import banned


@pytest.fixture(autouse=True)
def nobody_is_banned():
    banned.clear()
