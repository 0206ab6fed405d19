"""Pauses after failures, and numbers that are remembered for some keys."""

from fastapi_caching_route._concurrency.pauses import MAX_KEYS, MAX_PAUSE_SECONDS, Pauses, RecentNumbers
from fastapi_caching_route._store.withdrawals import Withdrawals


def test_only_so_many_keys_are_remembered():
    lately = RecentNumbers()
    for number in range(MAX_KEYS + 100):
        lately.note(f'key{number}', 1)
    assert len(lately._numbers) == MAX_KEYS
    assert lately.of('key0') == 0
    assert lately.of(f'key{MAX_KEYS}') == 1


def test_pauses_double_up_to_the_longest_and_end():
    pauses, now, lengths = Pauses(), 1000.0, []
    for _ in range(8):
        pauses.lengthen('key', now)
        length = next(it / 4 for it in range(1000) if not pauses.holds('key', now + it / 4))
        lengths.append(length)
    assert lengths == [1, 2, 4, 8, 16, MAX_PAUSE_SECONDS, MAX_PAUSE_SECONDS, MAX_PAUSE_SECONDS]
    pauses.end('key')
    assert not pauses.holds('key', now)
    pauses.lengthen('key', now)
    assert pauses.holds('key', now + 0.9)
    assert not pauses.holds('key', now + 1)


def test_a_key_that_was_dropped_has_no_higher_number_than_the_last_one_dropped(monkeypatch):
    monkeypatch.setattr('fastapi_caching_route._concurrency.pauses.MAX_KEYS', 3)
    lately = RecentNumbers()
    assert lately.at_most('a') == 0
    for number, key in enumerate('abcde', 1):
        lately.note(key, number)
    assert [lately.at_most(it) for it in 'abcde'] == [2, 2, 3, 4, 5]
    assert lately.of('a') == 0


def test_a_withdrawal_counts_also_when_many_others_came_after_it(monkeypatch):
    monkeypatch.setattr('fastapi_caching_route._concurrency.pauses.MAX_KEYS', 3)
    withdrawals = Withdrawals()
    for key in 'abcde':
        withdrawals.note(key, 1000.0)
    assert withdrawals.came_since('a', 0)
    assert not withdrawals.came_since('a', 2)
    assert withdrawals.came_since('e', 4)
