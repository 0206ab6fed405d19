"""The ways in which guards run before an entry is served."""

from fastapi_caching_route._fastapi import admission, solving

WAYS = ('in steps', 'by solve_dependencies', 'by a request handler')


def run_guards(way, monkeypatch):
    """From now on, the guards of new routes run in this way or, if it does not cover them, in the next one."""
    if way != 'in steps':
        monkeypatch.setattr(solving, 'steps_of', lambda _nodes: None)
    if way == 'by a request handler':
        monkeypatch.setattr(admission, 'is_covered', lambda _nodes: False)
