"""The ways in which guards run before an entry is served."""

from fastapi_caching_route._fastapi import admission

WAYS = ('directly', 'by a request handler')


def run_guards(way, monkeypatch):
    """From now on, the guards of new routes run in this way; what it does not cover still runs by a handler."""
    if way == 'by a request handler':
        monkeypatch.setattr(admission, 'is_covered', lambda _nodes: False)
