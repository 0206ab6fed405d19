"""The table of reasons in `docs/http.md`, made of `_core/reasons.py`.

python -m tests.reasons     writes the table anew
"""

import re

from fastapi_caching_route._concurrency.pauses import UNSHAREABLE_SECONDS
from fastapi_caching_route._core.reasons import BY_NAME, NOT_STORED, Extent, Reason
from tests.servers import ROOT

PAGE = ROOT / 'docs' / 'http.md'
TABLE = re.compile(r'(?<=<!-- The table is written by `python -m tests.reasons`. -->\n)\|.*?\n(?=\n|\Z)', re.DOTALL)

FOLLOWERS = {
    Extent.THIS_REQUEST: 'one of them calls the endpoint, for all',
    Extent.THIS_RESPONSE: 'each calls the endpoint, this once',
    Extent.THIS_KEY: f'each calls the endpoint, and for {UNSHAREABLE_SECONDS:.0f} seconds nobody waits',
}
WHILE_STORING = {
    'slow-client': 'one of them calls the endpoint, for all, half a second after the client stopped reading',
    'no body': FOLLOWERS[Extent.THIS_REQUEST],
    'invalidated': FOLLOWERS[Extent.THIS_REQUEST],
    'store-error': (
        'those who asked before the endpoint ran share it, and all if the store just had no room; '
        'of the others, one calls the endpoint, for all'
    ),
    'store-slow': 'they share it if they have time left for the store; if not, as with `store-error`',
}
"""What does not follow from the extent: by then, the response is complete, or its flight has landed."""


def table() -> str:
    """The table of all reasons, in the order of the code."""
    rows = [f'| `{it.name}` | {it.meaning} | {_effect(it)} | {_followers(it)} |' for it in BY_NAME.values()]
    return '\n'.join(['| `detail` | when | the request or response | followers |', '|---|---|---|---|', *rows, ''])


def _effect(reason: Reason) -> str:
    return f'{reason.effect}, or {NOT_STORED}' if reason.also_not_stored else reason.effect


def _followers(reason: Reason) -> str:
    """A request that bypasses the cache has no followers."""
    if reason.effect != NOT_STORED and not reason.also_not_stored:
        return '–'
    return WHILE_STORING.get(reason.name) or FOLLOWERS[reason.extent]


def as_written() -> str:
    """The page with the table as it comes now."""
    written, times = TABLE.subn(lambda _: table(), PAGE.read_text())
    assert times == 1, 'the page has one place for the table'
    return written


if __name__ == '__main__':
    PAGE.write_text(as_written())
