"""What one request calls in our code: counted, so that it is the same on every machine.

uv run --group bench python benchmarks/calls.py [--only TEXT] [--list]
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import fastapi_caching_route

sys.path.insert(0, str(Path(__file__).parent))
from cases import cases
from messages import to_nobody
from speed import prepared

PACKAGE = str(Path(fastapi_caching_route.__file__).parent)


async def calls_of(run: Callable[[], Awaitable[None]]) -> Counter[str]:
    """The functions of ours that are called, by their names, and how often; and those in C that they call."""
    found: Counter[str] = Counter()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if not code.co_filename.startswith(PACKAGE) or code.co_name.startswith('<'):
            return  # comprehensions, which newer Pythons inline, are no calls
        if event == 'call':
            found[f'{Path(code.co_filename).name}: {code.co_name}'] += 1
        elif event == 'c_call':
            found[f'C: {getattr(argument, "__qualname__", argument)}'] += 1

    sys.setprofile(note)
    try:
        await run()
    finally:
        sys.setprofile(None)
    return found


async def show(only: str, *, listed: bool) -> None:
    for case in cases(None):
        if only in case.name and case.expected is not None:  # those that are ours
            app, scopes = await prepared(case)
            found = await calls_of(partial(app, dict(next(scopes)), case.receive, to_nobody))
            ours = sum(count for name, count in found.items() if not name.startswith('C: '))
            print(f'{case.name:<32}{ours:>6} Python, {sum(found.values()) - ours:>5} C')
            if listed:
                for name, count in sorted(found.items()):
                    print(f'    {count:>4} {name}')


if __name__ == '__main__':
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument('--only', default='')
    arguments.add_argument('--list', action='store_true')
    given = arguments.parse_args()
    asyncio.run(show(given.only, listed=given.list))
