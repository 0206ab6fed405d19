"""Multipart forms: their boundary is made up anew for each request, and does not count; everything else does."""

import asyncio
import itertools
from typing import Annotated

import pytest
from fastapi import Body, Depends, FastAPI, Form, Request, UploadFile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.testclient import TestClient

from fastapi_caching_route._core.form import MAX_PARTS, digest_of_form
from tests.support import caching_router, client_of, marks, memory_cache


def multipart(boundary, *parts):
    """A form of (head, content) pairs, as clients write it."""
    inside = b''.join(b'--%b\r\n%b\r\n\r\n%b\r\n' % (boundary, head, content) for head, content in parts)
    return inside + b'--%b--\r\n' % boundary


def field(name, value):
    return (f'Content-Disposition: form-data; name="{name}"'.encode(), value.encode())


def type_of(boundary):
    return b'multipart/form-data; boundary=' + boundary


def app_of(endpoint, **options):
    router, cache = caching_router(), memory_cache()
    router.post('/')(cache(ttl=60, **options)(endpoint))
    return client_of(router)


def post(client, boundary, *parts):
    headers = {'content-type': type_of(boundary).decode()}
    return client.post('/', content=multipart(boundary, *parts), headers=headers)


@pytest.mark.parametrize('guarded', [False, True])
def test_a_form_is_a_hit_whatever_its_boundary(guarded):
    runs = []

    def title(title: Annotated[str, Form()] = ''):
        return title

    async def endpoint(file: UploadFile, pages: Annotated[list[int], Form()], title: Annotated[str, Depends(title)]):
        runs.append(1)
        return [file.filename, (await file.read()).decode(), pages, title]

    client = app_of(endpoint, **({'dependencies': [Depends(title)]} if guarded else {}))
    sent = {'files': {'file': ('a.txt', b'content')}, 'data': {'pages': ['1', '2'], 'title': 't'}}
    asked = [client.post('/', **sent) for _ in range(3)]
    assert [it.json() for it in asked] == [['a.txt', 'content', [1, 2], 't']] * 3
    assert marks(*asked) == ['MISS', 'HIT', 'HIT']
    assert len(runs) == 1
    others = [
        {**sent, 'files': {'file': ('a.txt', b'contenT')}},
        {**sent, 'files': {'file': ('b.txt', b'content')}},
        {**sent, 'data': {'pages': ['2', '1'], 'title': 't'}},
        {**sent, 'data': {'pages': ['1', '2'], 'title': 'u'}},
    ]
    assert marks(*(client.post('/', **it) for it in others)) == ['MISS'] * 4


def test_a_form_of_another_type_of_content_is_keyed_by_its_bytes():
    async def endpoint(x: Annotated[str, Form()]):
        return x

    client = app_of(endpoint)
    assert marks(client.post('/', data={'x': '1'}), client.post('/', data={'x': '1'})) == ['MISS', 'HIT']
    assert marks(client.post('/', data={'x': '2'})) == ['MISS']


def test_who_can_see_the_boundary_gets_no_response_for_another_one():
    async def raw(request: Request, x: Annotated[str, Form()]):
        return request.headers['content-type'] + x

    async def of_bytes(content: Annotated[bytes, Body()]):
        return content.decode()

    for endpoint in (raw, of_bytes):
        client = app_of(endpoint)
        got = [post(client, boundary, field('x', '1')).text for boundary in (b'aaa', b'bbb', b'aaa')]
        assert got[0] == got[2] != got[1]
        assert 'bbb' in got[1]


async def parsed(boundary, body):
    async def stream():
        yield body

    try:
        form = await MultiPartParser(Headers({'content-type': type_of(boundary).decode()}), stream()).parse()
    except (MultiPartException, KeyError) as error:
        return type(error).__name__
    held = [
        (name, it if isinstance(it, str) else (it.filename, sorted(it.headers.items()), it.file.read()))
        for name, it in form.multi_items()
    ]
    await form.close()
    return held


PIECES = [
    *(
        b'--a',
        b'--ab',
        b'--b',
        b'--',
        b'\r\n',
        b'\r\n',
        b'\r\n\r\n',
        b'\n',
        b'\r',
        b'a',
        b'b',
        b'-',
        b'1',
        b':',
        b'4:abcd',
    ),
    *(b'\r\n--a\r\n', b'\r\n--b\r\n', b'\r\n--ab\r\n', b'\r\n--a--\r\n', b'\r\n--b--\r\n', b'\r\n--ab--\r\n'),
    *(
        b'Content-Disposition: form-data; name="x"\r\n\r\n',
        b'Content-Disposition: form-data; name="f"; filename="n"\r\n\r\n',
    ),
]
HEADS = [field('x', '')[0], field('y', '')[0], b'Content-Disposition: form-data; name="f"; filename="n"', b'X: 1']


@st.composite
def forms(draw):
    """A form with its boundary: one that is written as it should be, with hostile content, or anything."""
    boundary = draw(st.sampled_from([b'a', b'b', b'ab']))
    noise = st.lists(st.sampled_from(PIECES), max_size=4).map(b''.join)
    if draw(st.integers(0, 3)):
        parts = draw(st.lists(st.tuples(st.sampled_from(HEADS), noise), min_size=1, max_size=2))
        return boundary, multipart(boundary, *parts)
    return boundary, draw(noise) + multipart(boundary, (draw(st.sampled_from(HEADS)), draw(noise))) + draw(noise)


@pytest.mark.filterwarnings(
    'ignore::pytest.PytestUnraisableExceptionWarning'
)  # Starlette leaves files of bad forms open
def test_two_forms_are_never_one_whatever_is_sent():
    seen: dict[bytes, object] = {}
    met = itertools.count()

    @settings(
        max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
    )
    @given(forms())
    def compare(form):
        boundary, body = form
        digest = digest_of_form([type_of(boundary)], body)
        if digest is not None:
            held = asyncio.run(parsed(boundary, body))
            if digest in seen:
                next(met)
            assert seen.setdefault(digest, held) == held, form

    compare()
    assert len(seen) > 300
    assert next(met) > 50


@pytest.mark.parametrize(
    ('one', 'other'),
    [
        # Lengths and ends of parts.
        ([field('x', '1'), field('y', '2')], [field('x', '1\r\n\r\n2')]),
        ([field('x', '12')], [field('x1', '2')]),
        ([field('x', '1'), field('x', '2')], [field('x', '2'), field('x', '1')]),
        ([field('x', '')], [field('x', ''), field('x', '')]),
        ([(b'A: b', b'cd')], [(b'A: bc', b'd')]),
        ([(b'A: b', b'1:c1:de')], [(b'A: b', b'1:c'), (b'd', b'e')]),
    ],
)
def test_forms_that_differ_have_different_digests(one, other):
    assert len({digest_of_form([type_of(b'zz')], multipart(b'zz', *parts)) for parts in (one, other)}) == 2


WELL = multipart(b'zz', field('x', '1'))


@pytest.mark.parametrize(
    ('types', 'body'),
    [
        ([], WELL),
        ([type_of(b'zz'), type_of(b'zz')], WELL),
        ([type_of(b'zz') + b'; charset=latin-1'], WELL),
        ([type_of(b'zz') + b'; boundary=yy'], WELL),
        ([b'multipart/mixed; boundary=zz'], WELL),
        ([type_of(b'z' * 71)], multipart(b'z' * 71, field('x', '1'))),
        ([type_of(b'zz')], b'before\r\n' + WELL),
        ([type_of(b'zz')], WELL + b'after'),
        ([type_of(b'zz')], WELL.replace(b'--zz--', b'--zz')),
        ([type_of(b'zz')], WELL.replace(b'\r\n', b'\n')),
        ([type_of(b'zz')], WELL.replace(b'--zz\r\n', b'--zz \r\n')),
        ([type_of(b'zz')], multipart(b'zz', (b'A: b', b'1\r\n--zzz'))),
        ([type_of(b'zz')], multipart(b'zz', (b'A: b\r\n--zz\r\nC: d', b'1'))),
        ([type_of(b'zz')], multipart(b'zz', (b'', b'1'))),
        ([type_of(b'zz')], multipart(b'zz', *[field('x', '1')] * (MAX_PARTS + 1))),
        ([type_of(b'zz')], b''),
    ],
)
def test_nothing_is_said_of_a_form_that_is_not_written_as_it_should_be(types, body):
    assert digest_of_form(types, body) is None


def test_the_boundary_may_be_quoted():
    digests = {digest_of_form([b'multipart/form-data; boundary=' + it], WELL) for it in (b'zz', b'"zz"')}
    assert len(digests) == 1
    assert None not in digests


def test_a_form_without_content_is_not_another_kind_of_form_without_content():
    router, cache, plain = caching_router(), memory_cache(), FastAPI()

    async def endpoint(a: Annotated[str, Form()] = 'd'):
        return a

    cache(ttl=60)(router.post('/')(endpoint))
    plain.post('/')(endpoint)
    cached, uncached = client_of(router), TestClient(plain)
    for headers in ({}, {'content-type': 'multipart/form-data'}, {'content-type': 'text/plain'}):
        statuses = [it.post('/', headers=headers).status_code for it in (cached, cached, uncached)]
        assert len(set(statuses)) == 1


def test_forms_and_their_content_type_count():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60)
    @router.post('/')
    async def endpoint(name: Annotated[str, Form()]):
        return name

    client = client_of(router)
    responses = [client.post('/', data={'name': it}) for it in ('a', 'b', 'a')]
    assert [it.json() for it in responses] == ['a', 'b', 'a']
    assert marks(*responses) == ['MISS', 'MISS', 'HIT']
    assert client.post('/', content=b'name=a', headers={'content-type': 'text/plain'}).status_code == 422
