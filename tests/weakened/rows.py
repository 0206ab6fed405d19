"""All rows: the places where the package is weakened, in the order of its wings."""

from typing import NamedTuple

from tests.weakened import (
    rows_backends,
    rows_concurrency,
    rows_core,
    rows_exchange,
    rows_fastapi,
    rows_http,
    rows_public,
    rows_routes,
    rows_store,
)


class Row(NamedTuple):
    """One place: a name for the rule, the file in the package, the text that stands there, the text in its place."""

    name: str
    file: str
    there: str
    instead: str
    appended: str = ''  # to the end of the file


WINGS = (
    *(rows_http, rows_core, rows_concurrency, rows_fastapi, rows_exchange, rows_store, rows_public, rows_routes),
    rows_backends,
)
ROWS = [Row(*row) for wing in WINGS for row in wing.ROWS]
