"""Pauses after failures, and numbers that are remembered for some keys."""

from fastapi_caching_route._concurrency.pauses import MAX_KEYS, MAX_PAUSE_SECONDS, Pauses, RecentNumbers


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
