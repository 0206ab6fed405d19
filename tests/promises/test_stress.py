"""Random herds, see `stress`."""

from tests.stress import stress


def test_every_request_of_random_herds_ends_with_an_answer_it_may_have(caplog):
    caplog.set_level('CRITICAL')
    seen, violations = stress(range(200))
    assert violations == []
    assert min(seen[kind] for kind in ('hit', 'collapsed', 'fwd', 'stale-if-error', 'cancelled', 'exceptions')) > 5
