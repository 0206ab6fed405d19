"""All rows: the places where the package is weakened, in the order of its wings."""

from typing import NamedTuple

from tests.weakened import (
    rows_backends,
    rows_compression,
    rows_concurrency,
    rows_console,
    rows_core,
    rows_exchange,
    rows_fastapi,
    rows_functions,
    rows_http,
    rows_lmdb,
    rows_public,
    rows_raw,
    rows_routes,
    rows_sessions,
    rows_store,
)


class Row(NamedTuple):
    """One place: a name for the rule, the file in the package, the text that stands there, the text in its place."""

    name: str
    file: str
    there: str
    instead: str
    appended: str = ''  # to the end of the file
    hangs: bool = False  # a test that hangs counts as one that fails


HANGING = {
    'a hit that is stale',
    'full: marks',
    'whole lines',
    'lmdb: a fork that does not wait',
    'lmdb: keys that were hot',
}
"""Weakened there, the package runs or waits for ever, in code that no time-out of a test can leave."""

WINGS = (
    *(rows_http, rows_core, rows_concurrency, rows_fastapi, rows_exchange, rows_store, rows_public, rows_routes),
    *(rows_backends, rows_lmdb, rows_raw, rows_functions, rows_console, rows_sessions),
    rows_compression,
)
ROWS = [Row(*row, hangs=row[0] in HANGING) for wing in WINGS for row in wing.ROWS]
