"""Two real servers on one real store: what one has written, the other one reads."""

import pytest

from tests.race import race
from tests.support import FASTAPI

ROUNDS = 240


@pytest.mark.parametrize('kind', ['redis', 'memcached'])
def test_a_write_in_one_process_is_never_followed_by_an_older_read_in_another(kind, request):
    seen = race(kind, request.getfixturevalue(f'{kind}_port'), ROUNDS)
    assert seen.violations == 0
    assert seen.rounds >= ROUNDS
    assert seen.hits > ROUNDS  # of three reads a round


@pytest.mark.parametrize('write', ['context', 'plain context'])
def test_nor_is_one_that_says_what_it_makes_outdated_while_it_runs(write, redis_port):
    if write == 'plain context' and FASTAPI < (0, 121):
        pytest.skip('nothing tells when the endpoint of a plain route of this release has returned')
    seen = race('redis', redis_port, ROUNDS // 2, write=write)
    assert seen.violations == 0
    assert seen.rounds >= ROUNDS // 2
    assert seen.hits > ROUNDS // 2


def test_with_one_step_left_out_it_is_followed_by_older_reads(redis_port):
    assert race('redis', redis_port, ROUNDS // 4, 'compare `last` on a hit').violations > 0
