"""Two real servers on one real store: what one has written, the other one reads."""

import pytest

from tests.race import race

ROUNDS = 240


@pytest.mark.parametrize('kind', ['redis', 'memcached'])
def test_a_write_in_one_process_is_never_followed_by_an_older_read_in_another(kind, request):
    seen = race(kind, request.getfixturevalue(f'{kind}_port'), ROUNDS)
    assert seen.violations == 0
    assert seen.rounds >= ROUNDS
    assert seen.hits > ROUNDS  # of three reads a round


def test_with_one_step_left_out_it_is_followed_by_older_reads(redis_port):
    assert race('redis', redis_port, ROUNDS // 4, 'compare `last` on a hit').violations > 0
