"""The example of pages that are stored once and sent with the name and the token of each visitor."""

import runpy

import pytest
from starlette.testclient import TestClient

from tests.servers import EXAMPLES


@pytest.fixture
def example():
    return runpy.run_path(str(EXAMPLES / 'personal_pages.py'))


def visitor(app, **cookies):
    return TestClient(app, cookies=cookies)


def test_visitors_share_what_is_stored_and_each_sees_their_own_values(example):
    ada, grace = visitor(example['app'], name='Ada', csrf='a'), visitor(example['app'], name='Grace', csrf='g')
    pages = [it.get('/') for it in (ada, grace, ada)]
    assert [it.headers['x-cache'] for it in pages] == ['MISS', 'HIT', 'HIT']
    assert ['Hello Ada<' in it.text and 'value="a"' in it.text for it in pages] == [True, False, True]
    assert 'Hello Grace<' in pages[1].text
    assert [int(it.headers['content-length']) for it in pages] == [len(it.content) for it in pages]
    assert {it.headers['cache-control'] for it in pages} == {'private, no-cache'}
    assert {it.headers['vary'] for it in pages} == {'cookie'}
    assert not any('[' in it.text for it in pages)


def test_the_etag_is_that_of_the_page_as_the_visitor_sees_it(example):
    ada, grace = visitor(example['app'], name='Ada'), visitor(example['app'], name='Grace')
    of_ada, of_grace = ada.get('/').headers['etag'], grace.get('/').headers['etag']
    assert of_ada != of_grace
    unchanged = ada.get('/', headers={'if-none-match': f'"other", W/{of_ada}'})
    assert (unchanged.status_code, unchanged.headers['etag'], unchanged.content) == (304, of_ada, b'')
    assert ada.get('/', headers={'if-none-match': of_grace}).status_code == 200
    renamed = visitor(example['app'], name='Countess').get('/', headers={'if-none-match': of_ada})
    assert renamed.status_code == 200
    assert 'Hello Countess' in renamed.text


async def test_a_change_of_the_stored_page_changes_the_etag(example):
    ada = visitor(example['app'], name='Ada')
    before = ada.get('/').headers['etag']
    await example['cache'].clear()
    example['page'].__globals__['place'] = lambda name: 'another page'
    after = ada.get('/', headers={'if-none-match': before})
    assert (after.status_code, after.headers['etag'] != before) == (200, True)


def test_what_has_no_placeholder_is_passed_on_as_it_is(example):
    ada = visitor(example['app'])

    @example['router'].get('/plain')
    @example['cache'](ttl=60)
    async def plain() -> str:
        return 'plain'

    example['app'].include_router(example['router'], prefix='/also')
    first = ada.get('/also/plain')
    assert 'cache-control' not in first.headers
    again = ada.get('/also/plain', headers={'if-none-match': first.headers['etag']})
    assert (again.status_code, again.headers['etag']) == (304, first.headers['etag'])


def test_head_has_the_headers_of_get_and_ranges_are_ignored(example):
    ada = visitor(example['app'], name='Ada')
    page, head = ada.get('/'), ada.head('/')
    assert head.content == b''
    assert [head.headers[it] for it in ('etag', 'content-length')] == [
        page.headers[it] for it in ('etag', 'content-length')
    ]
    assert ada.get('/', headers={'range': 'bytes=0-4'}).status_code == 200


def test_a_value_cannot_add_tags_to_the_page(example):
    assert '<script>' not in visitor(example['app'], name='<script>').get('/').text


def test_a_form_is_accepted_with_the_token_of_its_page_only(example):
    ada = visitor(example['app'])
    ada.get('/token')
    csrf = ada.cookies['csrf']
    assert f'value="{csrf}"' in ada.get('/').text
    assert ada.post('/letters', data={'csrf': csrf}).status_code == 200
    assert ada.post('/letters', data={'csrf': 'guessed'}).status_code == 403
