"""A store in trouble, with real servers: clients notice nothing. `python -m tests.faults` prints what this looks at."""

import os
import shutil

import pytest

from tests.faults import FAULTS, HEAD, watch

BY_THEMSELVES = {'WRONGTYPE'}
"""Faults that we mend, so that there is nothing to be told."""


@pytest.mark.parametrize(('kind', 'fault'), FAULTS)
async def test_no_client_hears_of_it(kind, fault):
    program = {'redis': 'redis-server', 'memcached': 'memcached'}[kind]
    if shutil.which(program) is None and os.environ.get('CI') != 'true':
        pytest.skip(f'{program} is not on the PATH')
    told = (0, 0) if fault in BY_THEMSELVES else (1, 1)
    for _ in range(6):  # a machine that is busy with other things makes outages of its own
        row = await watch(kind, fault, seconds=1.0)
        print(f'\n{HEAD}\n{row}')
        assert (row.errors, row.outdated) == (0, 0)
        assert row.requests > 20
        if (row.warnings, row.recoveries) == told:
            break
    assert (row.warnings, row.recoveries) == told
