"""Waiting for a command, without the time for which the event loop itself was late."""

import asyncio
import time

import pytest

from fastapi_caching_route._concurrency.lateness import Lateness, in_time

pytestmark = pytest.mark.usefixtures('no_machine_is_slow')


async def waited_for(seconds, *, busy, then):
    """What comes of a command that makes the event loop late, and takes some time after that."""

    async def command():
        time.sleep(busy)  # noqa: ASYNC251, it is what is tested
        await asyncio.sleep(then)
        return 'reply'

    running = asyncio.ensure_future(command())
    lateness = Lateness(running.get_loop(), running.done)
    lateness.watch()
    return await in_time(running, seconds, lateness)


async def test_a_caller_waits_longer_by_the_time_for_which_the_event_loop_was_late():
    assert await waited_for(0.2, busy=0.4, then=0.05) == 'reply'


async def test_a_caller_waits_no_longer_where_the_event_loop_was_on_time():
    with pytest.raises(TimeoutError):
        await waited_for(0.05, busy=0, then=5)
