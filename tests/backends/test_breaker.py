"""The breaker of a backend: when it is not asked any more, when it is asked again, and what the log says."""

import asyncio
import os

import pytest

from fastapi_caching_route._backends.breaker import FAILURES_TO_OPEN, PROBE_SECONDS, WARN_AGAIN_SECONDS, Breaker
from tests.backends.fakes import Elsewhere
from tests.backends.links import app_on, mark

pytestmark = pytest.mark.usefixtures('no_machine_is_slow')


def test_a_few_failures_open_the_breaker_and_one_success_closes_it():
    breaker = Breaker()
    for number in range(FAILURES_TO_OPEN):
        assert not breaker.is_open('reading')
        breaker.failed('reading', OSError(), float(number))
    assert breaker.is_open('reading')
    assert not breaker.is_open('writing')
    breaker.worked('reading')
    assert not breaker.is_open('reading')


def test_a_success_in_between_keeps_the_breaker_closed():
    breaker = Breaker()
    for number in range(10 * FAILURES_TO_OPEN):
        breaker.failed('reading', OSError(), float(number))
        breaker.worked('reading')
    assert not breaker.is_open('reading')


def test_one_probe_at_a_time():
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN):
        breaker.failed('writing', OSError(), 100.0)
    moments = [100.0, 100.0 + PROBE_SECONDS, 100.1 + PROBE_SECONDS, 100.0 + 2 * PROBE_SECONDS, 200.0]
    assert [breaker.takes_probe('writing', at) for at in moments] == [False, True, False, True, True]


def test_an_outage_is_told_once_and_so_is_its_end(caplog):
    caplog.set_level('INFO')
    breaker = Breaker()
    for kind in ('writing', 'reading'):
        for _ in range(10):
            breaker.failed(kind, OSError('down'), 1000.0)
    breaker.worked('writing')
    breaker.worked('reading')
    assert [(it.levelname, it.getMessage()) for it in caplog.records] == [
        ('WARNING', 'the cache backend is failing, requests are answered without it: OSError: down'),
        ('INFO', 'the cache backend works again'),
    ]


def test_failures_here_and_there_are_told_once_a_minute(caplog):
    caplog.set_level('INFO')
    breaker = Breaker()
    for number in range(100):
        breaker.failed('reading', OSError(), 1000.0 + number)
        breaker.worked('reading')
    assert [it.levelname for it in caplog.records] == ['WARNING', 'INFO'] * 2
    assert WARN_AGAIN_SECONDS == 60


def test_an_outage_soon_after_a_failure_is_told_all_the_same(caplog):
    breaker = Breaker()
    breaker.failed('reading', OSError('once'), 1000.0)
    breaker.worked('reading')
    for _ in range(FAILURES_TO_OPEN):
        breaker.failed('reading', OSError('outage'), 1001.0)
    assert [it.getMessage().rpartition(': ')[2] for it in caplog.records] == ['once', 'outage']


@pytest.mark.parametrize('fate', ['stopped', 'stopped after a fork'])
def test_a_probe_that_stayed_behind_does_not_keep_others_from_looking(fate, monkeypatch):
    backend = Elsewhere()
    with app_on(backend, store_timeout=0.3) as (_, ask):
        left = asyncio.new_event_loop()

        async def outage():
            assert [mark(await ask()) for _ in range(2)] == ['MISS', 'HIT']
            backend.hanging.add('multi_get')
            for _ in range(FAILURES_TO_OPEN):
                await ask()
            await asyncio.sleep(PROBE_SECONDS + 0.05)
            await ask()  # which begins a probe, that has no time to end

        left.run_until_complete(outage())
        if fate == 'stopped after a fork':
            monkeypatch.setattr(left, 'is_running', lambda: True)
            monkeypatch.setattr(os, 'getpid', lambda: -1)
        backend.hanging.clear()

        async def later():
            for _ in range(200):
                if mark(await ask()) == 'HIT':
                    return True
                await asyncio.sleep(0.02)
            return False

        assert asyncio.run(later())
        monkeypatch.undo()
        for task in asyncio.all_tasks(left):
            task.cancel()
        left.run_until_complete(left.shutdown_asyncgens())
        left.close()


def test_an_outage_is_told_also_after_a_write_has_failed_that_nobody_tried_again(caplog):
    caplog.set_level('INFO')
    breaker = Breaker()
    breaker.failed('writing', OSError(), 1000.0)
    for _ in range(2):
        for _ in range(FAILURES_TO_OPEN):
            breaker.failed('reading', OSError(), 1001.0)
        breaker.worked('reading')
    assert [it.levelname for it in caplog.records] == ['WARNING', 'INFO', 'WARNING', 'INFO']


async def test_writing_is_looked_at_again_where_only_reading_goes_on(caplog):
    caplog.set_level('INFO')
    backend = Elsewhere()
    with app_on(backend, store_timeout=1) as (_, ask):
        assert [mark(await ask()) for _ in range(2)] == ['MISS', 'HIT']
        backend.failing.add('set')
        for number in range(FAILURES_TO_OPEN):
            await ask(f'/things/{10 + number}')
        backend.failing.clear()
        await asyncio.sleep(PROBE_SECONDS + 0.05)
        assert mark(await ask()) == 'HIT'
        await asyncio.sleep(0.05)
        assert [it.levelname for it in caplog.records] == ['WARNING', 'INFO']
