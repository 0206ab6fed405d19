"""Durations as users write them."""

import math
from datetime import timedelta
from random import Random

import pytest

from fastapi_caching_route import CacheControl, ConfigurationError
from fastapi_caching_route._core.durations import checked_seconds, in_seconds


@pytest.mark.parametrize(
    ('written', 'seconds'),
    [
        (60, 60),
        (0.5, 0.5),
        (math.inf, math.inf),
        (timedelta(minutes=5, milliseconds=1), 300.001),
        ('90s', 90),
        ('5m', 300),
        ('1h30m', 5400),
        ('1h 30m', 5400),
        (' 2 d ', 172_800),
        ('1w2d3h4m5s6ms', 604_800 + 172_800 + 3 * 3600 + 4 * 60 + 5.006),
        ('1.5h', 5400),
        ('250ms', 0.25),
        ('0s', 0),
    ],
)
def test_a_duration_may_be_a_number_a_timedelta_or_a_text(written, seconds):
    assert math.isclose(checked_seconds('ttl', written), seconds)


@pytest.mark.parametrize(
    'written',
    [
        *('', ' ', '60', '5', 'm', '5 min', '5M', '30m1h', '1h1h', '-5m', '1,5h', '1h30', '5m!', '٥m', '1e3s', 'inf'),
        *(None, True, b'5m', [], math.nan, -1, -0.001, timedelta(seconds=-1), 1j),
    ],
)
def test_everything_else_is_refused_with_what_is_valid(written):
    with pytest.raises(ConfigurationError, match=r"ttl must be a number of seconds, .* like '90s', '5m', '1h30m'"):
        checked_seconds('ttl', written)


def test_every_text_means_the_sum_of_its_parts():
    dice, units = Random(7), {'w': 604_800, 'd': 86_400, 'h': 3600, 'm': 60, 's': 1, 'ms': 0.001}
    for _ in range(500):
        parts = {unit: dice.randrange(100) for unit in units if dice.random() < 0.5} or {'s': 1}
        blank = dice.choice(['', ' '])
        text = blank.join(f'{number}{blank}{unit}' for unit, number in parts.items())
        assert math.isclose(in_seconds(text), sum(number * units[unit] for unit, number in parts.items())), text


def test_what_others_are_told_may_be_written_alike_and_is_in_whole_seconds():
    control = CacheControl(max_age='1h30m', s_maxage='ttl', stale_if_error=timedelta(days=1))
    assert str(control) == 'max-age=5400, s-maxage=ttl, stale-if-error=86400'
    for wrong in ('ttl', '1500ms', timedelta(seconds=0.5), '5', 5.0, True, -1):
        with pytest.raises(ConfigurationError, match='stale_if_error must be whole seconds'):
            CacheControl(stale_if_error=wrong)
