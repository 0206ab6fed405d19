"""Consumes all states of a file, as quickly as it can, and prints the numbers of those that it got.

python -m tests.sessions.racing URL FILE
"""

import asyncio
import sys
from pathlib import Path

from fastapi_caching_route.sessions import StateRefusedError, States

AT_A_TIME = 64


async def race(url, made):
    """The numbers of the states that this process has got."""
    states, turns, won = States(store=url, bind=False, timeout=60), asyncio.Semaphore(AT_A_TIME), []

    async def consume(number, state):
        async with turns:
            try:
                assert await states.consume(state) == number
            except StateRefusedError:
                return
            won.append(number)

    await asyncio.gather(*(consume(number, state) for number, state in enumerate(made)))
    await states.close()
    return won


if __name__ == '__main__':
    print(*asyncio.run(race(sys.argv[1], Path(sys.argv[2]).read_text().split())))
