"""Tables, blocks and JSON. Knows texts and numbers only.

rich is needed for everything but JSON and plain lines.
"""

import io
import os
import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from fastapi_caching_route._cli.ending import NOT_WRITTEN, WRONG_ARGUMENTS, Refusal
from fastapi_caching_route._core.as_json import as_json

WIDEST = 10_000
"""Columns: more than any console has."""


def print_json(value: Any) -> None:
    """Print a value."""
    with _writing():
        print(as_json(value, indent=2))  # noqa: T201, a command prints


def say(text: str) -> None:
    """Print a plain line."""
    with _writing():
        print(harmless(text))  # noqa: T201, as above


def complain(text: str) -> None:
    """Print a line on the standard error, if that is possible."""
    with suppress(OSError):
        print(harmless(text), file=sys.stderr)  # noqa: T201, as above


def escape_what_cannot_be_encoded() -> None:
    """Let no character be an error that the encoding of the terminal does not have."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')


def write_all() -> None:
    """Write what is left in buffers.

    Raises:
        Refusal: that is not possible.

    """
    if sys.stdout is not None:  # it was closed by the caller
        with _writing():
            sys.stdout.flush()


@contextmanager
def _writing() -> Generator[None, None, None]:
    try:
        yield
    except OSError as error:
        with suppress(OSError, ValueError):  # else the interpreter tries it again as it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Refusal('' if isinstance(error, BrokenPipeError) else str(error), NOT_WRITTEN) from None


def harmless(text: str) -> str:
    """The text, with everything escaped that a terminal would obey: clients choose paths, and these may be in tags."""
    return ''.join(it if it.isprintable() or it == '\n' else it.encode('unicode_escape').decode() for it in text)


def console(*, on_stderr: bool = False) -> Any:
    """The console of rich.

    Raises:
        Refusal: rich is not installed.

    """
    try:
        from rich.console import Console  # noqa: PLC0415, an optional package
    except ImportError:
        message = 'tables need rich: install the extra `cli` of fastapi-caching-route; --json does not'
        raise Refusal(message, WRONG_ARGUMENTS) from None
    shown: Any = Console(stderr=on_stderr)
    shown.on_broken_pipe = _raise_again
    return shown


def _raise_again() -> NoReturn:
    """Rich would end the process with a code that means something else here."""
    raise  # noqa: PLE0704, rich calls it where it handles the exception


def print_rows(titles: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int = 0) -> None:
    """Print a table; if it is too wide for the console, a block for each row. The last columns may be `numbers`."""
    with _writing():
        _print_rows(titles, rows, numbers)


def _print_rows(titles: Sequence[str], rows: Iterable[Sequence[str]], numbers: int) -> None:
    shown, rows = console(), [[*map(harmless, row)] for row in rows]
    from rich.measure import Measurement  # noqa: PLC0415, an optional package
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(show_lines=any('\n' in cell for row in rows for cell in row))
    for place, title in enumerate(titles):
        table.add_column(title, overflow='fold', justify='right' if place >= len(titles) - numbers else 'left')
    for row in rows:
        table.add_row(*map(Text, row))  # Text, because brackets in a str are markup
    if Measurement.get(shown, shown.options.update(max_width=WIDEST), table).maximum <= shown.width:
        shown.print(table)
        return
    width = max(map(len, titles[1:]))
    for first, *others in rows:
        shown.print(Text(first, style='bold'))
        for title, cell in zip(titles[1:], others, strict=True):
            if cell:
                indented = cell.replace('\n', '\n' + ' ' * (width + 4))
                shown.print(Text(f'  {title:<{width}}  {indented}'), soft_wrap=False)
        shown.print()


def print_warning(text: str) -> None:
    """Print a warning, in colour where there is any."""
    with _writing():
        console().print(f'\nwarning: {harmless(text)}', style='yellow', markup=False)
