"""`python -m fastapi_caching_route explain module:app`: a table of all routes of an app, and how each is cached."""

import argparse
import importlib
import json
import sys
from dataclasses import asdict
from math import inf
from typing import Any

from fastapi_caching_route._routes.caches import caches_in
from fastapi_caching_route.explain import RouteReport, explain


def main(arguments: list[str] | None = None) -> int:
    """Print the report, and return 0. Wrong arguments exit with a message."""
    parser = argparse.ArgumentParser(prog='python -m fastapi_caching_route', description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    command = commands.add_parser('explain', help='show how each route of an app is cached')
    command.add_argument('app', help='the app, as for uvicorn: module:name')
    command.add_argument('--json', action='store_true', help='print JSON, for programs')
    given = parser.parse_args(arguments)
    reports = explain(_imported(parser, given.app))
    if given.json:
        rows = [_finite(asdict(it)) for it in reports]
        print(json.dumps(rows, indent=2, allow_nan=False))  # noqa: T201, a command prints
    else:
        _print_table(parser, reports)
    return 0


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """Replace infinite times by None, because JSON has no infinity."""
    return {name: None if value == inf else value for name, value in values.items()}


def _imported(parser: argparse.ArgumentParser, place: str) -> Any:
    module, _, name = place.partition(':')
    sys.path.insert(0, '')  # the current directory, as in uvicorn
    try:
        app: Any = importlib.import_module(module)
    except (ImportError, ValueError, TypeError) as error:
        parser.error(f'{place}: {error}')
    for part in (name or 'app').split('.'):
        if not hasattr(app, part):
            parser.error(f'{place}: there is no {part!r} in {module}')
        app = getattr(app, part)
    if not hasattr(app, 'routes'):
        hint = '; if it is a function that builds the app, name a module that calls it' if callable(app) else ''
        parser.error(f'{place} is not a FastAPI or Starlette app, but {app!r}{hint}')
    return app


def _print_table(parser: argparse.ArgumentParser, reports: tuple[RouteReport, ...]) -> None:
    try:
        from rich.console import Console  # noqa: PLC0415, an optional package
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415
    except ImportError:
        parser.error("the table needs rich: pip install 'fastapi-caching-route[cli]'; --json does not")
    table = Table(show_lines=True)
    for title in ('route', 'cached', 'key', 'guards on hits', 'shared by'):
        table.add_column(title, overflow='fold')
    ours = [it for it in reports if not it.endpoint.startswith('fastapi.')]
    for it in ours:
        table.add_row(*map(Text, _cells(it)))  # Text, because brackets in a str are markup
    console = Console()
    console.print(table)
    if len(ours) < len(reports):
        console.print(f'and {len(reports) - len(ours)} routes of FastAPI itself, none of which is cached')
    for it in reports:
        for warning in it.warnings:
            console.print(f'\nwarning: {" ".join(it.methods)} {it.path}: {warning}', style='yellow', markup=False)
    shown = {warning for it in reports for warning in it.warnings}
    for settings in caches_in(None):  # endpoints that no route serves
        for warning in settings.unserved.take():
            if warning not in shown:
                console.print(f'\nwarning: {warning}', style='yellow', markup=False)


def _cells(it: RouteReport) -> tuple[str, ...]:
    """One row of the table."""
    return (
        f'{" ".join(it.methods)} {it.path}',
        '\n'.join(
            _terms(it) if it.cached else (f'no: {it.why_not}', *(f'invalidates {name}' for name in it.invalidates))
        ),
        '\n'.join(it.key),
        '\n'.join((*it.guards, *(f'(not {name})' for name in it.not_run_on_hits))),
        it.shared_by,
    )


def _terms(it: RouteReport) -> list[str]:
    """How long, and on which conditions, responses of a cached route are stored."""
    stale = ((it.stale_while_revalidate, 'stale'), (it.stale_if_error, 'on errors'))
    return [
        'while the backend keeps it' if it.ttl is None else f'{it.ttl:g} s',
        *(f'{span:g} s for {status}' for status, span in it.status_ttl.items()),
        *(f'+{span:g} s {why}' for span, why in stale if span),
        *it.conditions,
        *(f'tag {tag}' for tag in it.tags),
        *([f'namespace {it.namespace}'] if it.namespace else []),
    ]


if __name__ == '__main__':
    sys.exit(main())
