"""The report on the routes of an app: how each is cached, and what looks wrong. Knows reports, and no stores."""

from dataclasses import asdict
from typing import Any

from fastapi_caching_route._cli.ending import DONE, FOUND_FAULTS
from fastapi_caching_route._cli.printing import print_json, print_rows, print_warning, say
from fastapi_caching_route._routes.caches import caches_in
from fastapi_caching_route.explain import RouteReport, explain

OF_LIBRARIES = {'fastapi': 'FastAPI itself', 'fastapi_caching_route.console': 'the console'}
"""Modules whose endpoints are not the user's."""

TITLES = ('route', 'cached', 'key', 'guards on hits', 'shared by')


def report(app: Any, *, as_json: bool, check: bool) -> int:
    """Print the report on an app. With `check`, return another code if there are warnings."""
    reports = explain(app)
    warnings = [f'{" ".join(it.methods)} {it.path}: {warning}' for it in reports for warning in it.warnings]
    shown = {warning for it in reports for warning in it.warnings}
    for settings in caches_in(None):  # endpoints that no route serves
        for warning in settings.unserved.take():
            warnings += [] if warning in shown else [warning]
    if as_json:
        print_json([asdict(it) for it in reports])
    else:
        _print(reports, warnings)
    return FOUND_FAULTS if check and warnings else DONE


def _print(reports: tuple[RouteReport, ...], warnings: list[str]) -> None:
    counts = dict.fromkeys(OF_LIBRARIES, 0)
    ours = []
    for it in reports:
        library = next((name for name in OF_LIBRARIES if it.endpoint.startswith(f'{name}.')), None)
        if library is None:
            ours.append(it)
        else:
            counts[library] += 1
    print_rows(TITLES, map(_cells, ours))
    for library, count in counts.items():
        if count:
            say(f'and {count} routes of {OF_LIBRARIES[library]}, none of which is cached')
    for warning in warnings:
        print_warning(warning)


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
