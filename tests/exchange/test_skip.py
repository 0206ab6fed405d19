"""Requests that bypass the cache because `skip` says so."""

import logging

import pytest
from fastapi import Depends, HTTPException, Request

from tests.exchange.answering import async_skip
from tests.support import caching_router, client_of, memory_cache


def skipping(skip, **options):
    """A client of a route that says how often it has run."""
    router, cache, runs = caching_router(), memory_cache(), []

    @router.get('/')
    @cache(ttl=60, skip=skip, **options)
    async def endpoint():
        runs.append(1)
        return len(runs)

    return client_of(router)


@pytest.mark.parametrize('skip', [lambda it: it.headers.get('x-preview'), async_skip], ids=['plain', 'async'])
def test_a_request_that_is_skipped_is_answered_by_the_endpoint_and_leaves_no_trace(skip):
    client, preview = skipping(skip), {'x-preview': '1'}
    assert [client.get('/', headers=it).json() for it in (preview, {}, {}, preview, {})] == [1, 2, 2, 3, 2]
    assert client.get('/', headers=preview).headers['cache-status'] == 'FastAPICache; fwd=bypass; detail=skip'
    assert client.get('/').headers['x-cache'] == 'HIT'


def test_a_skip_that_raises_skips_and_is_told_once(caplog):
    client = skipping(lambda request: request.headers['x-missing'])
    with caplog.at_level(logging.INFO, 'fastapi_caching_route'):
        assert [client.get('/').json() for _ in range(3)] == [1, 2, 3]
    shown, told = caplog.records
    assert 'raised KeyError' in shown.message
    assert 'x-missing' not in shown.message.splitlines()[0]
    assert (told.levelname, told.getMessage()) == (
        'WARNING',
        "'/' bypasses the cache: the skip callable raised an exception",
    )
    assert client.get('/', headers={'x-missing': ''}).headers['x-cache'] == 'MISS'


def test_a_skip_reads_what_explicit_dependencies_have_left():
    def rank(request: Request):
        request.state.is_admin = request.headers.get('x-rank') == 'admin'

    client = skipping(lambda it: it.state.is_admin, dependencies=[Depends(rank)])
    assert [client.get('/', headers=it).json() for it in ({}, {'x-rank': 'admin'}, {})] == [1, 2, 1]


def test_guards_run_where_a_request_is_skipped():
    def guard():
        raise HTTPException(403)

    client = skipping(lambda _: True, dependencies=[Depends(guard)])
    assert client.get('/').status_code == 403


def test_a_key_builder_is_not_asked_where_a_request_is_skipped():
    asked = []
    client = skipping(lambda _: True, key_builder=lambda it: asked.append(it) or 'key')
    assert client.get('/').headers['cache-status'].endswith('detail=skip')
    assert not asked


def test_explicit_dependencies_run_once_where_a_request_is_skipped():
    runs = []
    client = skipping(lambda _: True, dependencies=[Depends(lambda: runs.append(1))])
    client.get('/')
    assert len(runs) == 1


class Unjudged:
    def __bool__(self):
        raise ValueError


def test_what_cannot_be_judged_skips():
    assert skipping(lambda _: Unjudged()).get('/').headers['cache-status'].endswith('detail=skip-callable')
