"""A cache that compresses answers as one that does not, whatever a client accepts, has, and asks for.

What a client ends up with is compared: of a 304 what it has, of coded content what that decodes to.
"""

import asyncio
import gzip
import os
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fastapi_caching_route import Compression, FastAPICache, MemoryCache, NearCopies
from fastapi_caching_route._core.codings import CODINGS, coder_of
from tests.backends.fakes import Elsewhere
from tests.promises.fronts import in_front_of
from tests.support import Clock, asgi_call, asgi_scope, caching_router

EXAMPLES = int(os.environ.get('COMPRESSION_EXAMPLES', '60'))
SETTINGS: dict[str, Any] = {
    'deadline': None,
    'derandomize': 'COMPRESSION_EXAMPLES' not in os.environ,
    'database': None,
    'suppress_health_check': list(HealthCheck),
    'phases': [Phase.generate],  # an example that fails is short enough
}
counts = {'requests': 0, 'coded': 0, 304: 0, 206: 0, 416: 0}

MODIFIED = 'Fri, 15 Jan 2027 07:59:00 GMT'
LATER = 'Fri, 15 Jan 2028 07:59:00 GMT'
KINDS = ('json', 'large', 'stream', 'tagged', 'weak', 'dated', 'varying', 'small', 'image', 'encoded', 'frozen')
NEVER_CODED = {'small', 'image', 'encoded', 'frozen'}


def text_of(kind, version):
    line = f'{kind} {version}: some text that is repeated\n'
    return (line if kind == 'small' else line * (4000 if kind == 'large' else 100)).encode()


def app_of(cache, versions):
    """Every kind of response; the version of each is in its text."""
    router, app = caching_router(), FastAPI(openapi_url=None)

    @router.api_route('/{kind}', methods=['GET', 'HEAD'])
    @cache(
        ttl=60,
        tags=['{kind}'],
        stale_while_revalidate=20,
        revalidate=True,
        store_if=lambda it: it.headers.get('content-encoding') or b'some text' in it.body,
    )
    async def answer(kind: str):
        version = versions.get(kind, 0)
        body, headers = text_of(kind, version), {'date': LATER}
        match kind:
            case 'stream':
                halves = iter([body[:100], body[100:]])
                return StreamingResponse(halves, media_type='text/plain')
            case 'tagged':
                headers['etag'] = f'"v{version}"'
            case 'weak':
                headers['etag'] = f'W/"v{version}"'
            case 'dated':
                headers['last-modified'] = MODIFIED
            case 'varying':
                headers['vary'] = 'accept-language'
            case 'encoded':
                body, headers['content-encoding'] = gzip.compress(body, mtime=0), 'gzip'
            case 'frozen':
                headers['cache-control'] = 'max-age=60, no-transform'
        return Response(body, headers=headers, media_type='image/png' if kind == 'image' else 'text/plain')

    app.include_router(router)
    return app


@dataclass
class Had:
    """What the clients of one app have received."""

    app: Any
    compresses: bool
    tags: dict[str, list[bytes]] = field(default_factory=dict)
    """Those of each kind, in their order."""
    contents: dict[tuple[str, bytes], tuple[bytes, bytes]] = field(default_factory=dict)
    """The coding and the content under each strong tag."""


def coded_headers(accepted):
    return [(b'accept-encoding', ', '.join(f'{it};q={q:g}' for it, q in accepted.items()).encode())]


def accepts(accepted, coding):
    """By RFC 9110 §12.5.3, in other words than ours."""
    if accepted is None:
        return coding == b'identity'
    weight = accepted.get(coding.decode(), accepted.get('*'))
    return weight != 0 if coding == b'identity' else bool(weight)


def asked(it, had):
    """The headers of a request; a tag is one of those that this client has."""
    headers = [] if it['accepted'] is None else coded_headers(it['accepted'])
    tags = had.tags.get(it['kind'], [])
    condition, tag = it['condition'], tags[it['which'] % len(tags)] if tags else b'"none"'
    if condition in {'if-none-match', 'if-range'}:
        headers.append((condition.encode(), tag))
    if condition == 'several':
        headers.append((b'if-none-match', b', '.join([b'"none"', *tags])))
    if condition == 'if-modified-since':
        headers.append((condition.encode(), LATER.encode()))
    if condition == 'dated if-range':
        headers.append((b'if-range', MODIFIED.encode()))
    if it['range'] is not None:
        headers.append((b'range', it['range']))
    if it['no-transform']:
        headers.append((b'cache-control', b'no-transform'))
    return headers


async def got(it, had, versions):
    """What a client ends up with: status, the plain body or the part of it."""
    kind, headers = it['kind'], asked(it, had)
    start, *bodies = await asgi_call(had.app, asgi_scope(it['method'], f'/{kind}', headers=headers))
    fields, body = dict(start['headers']), b''.join(message['body'] for message in bodies)
    said = [name for name, _ in start['headers'] if name != b'cache-status']  # a cache in front adds its own
    assert len(said) == len({*said})
    status, tag, coding = start['status'], fields.get(b'etag', b''), fields.get(b'content-encoding', b'identity')
    counts['requests'] += 1
    counts[status] = counts.get(status, 0) + 1
    if status == 304:
        sent = dict(headers)
        assert tag.removeprefix(b'W/') in sent.get(b'if-none-match', tag)
        if b'if-none-match' in sent and not tag.startswith(b'W/'):
            coding, content = had.contents[kind, tag]
            assert kind in NEVER_CODED or accepts(it['accepted'], coding)
            return 304, decoded(coding, content)
        return 304, text_of(kind, versions.get(kind, 0))
    if status == 416:
        return 416, fields[b'content-range'] if coding == b'identity' else b''
    if kind not in NEVER_CODED:
        is_accepted = accepts(it['accepted'], coding)
        assert is_accepted or coding == b'identity', 'what a client does not accept'
        assert not had.compresses or b'x-cache' not in fields or b'accept-encoding' in fields[b'vary']
        counts['coded'] += coding != b'identity'
    if it['method'] == 'HEAD':
        return 200, b''
    assert len(body) == int(fields.get(b'content-length', len(body)))
    if status == 206:
        return part(it, fields, coding, body, had.contents.get((kind, tag)), versions)
    if tag and not tag.startswith(b'W/'):
        assert had.contents.setdefault((kind, tag), (coding, body)) == (coding, body), 'a strong tag names two contents'
    if tag:
        had.tags.setdefault(kind, []).append(tag)
    return 200, decoded(coding, body)


def part(it, fields, coding, body, known, versions):
    """A part is one of the content that its tag names; of a coded one, the client has had the beginning."""
    unit, _, said = fields[b'content-range'].partition(b' ')
    at, _, size = said.partition(b'/')
    first, last = map(int, at.split(b'-'))
    assert unit == b'bytes'
    if coding == b'identity' or it['kind'] == 'encoded':
        return 206, (said, body)
    if known is None:  # it has had nothing of it, and wants no part of what is plain
        assert not accepts(it['accepted'], b'identity')
        return 206, None
    assert (coding, body) == (known[0], known[1][first : last + 1])
    assert int(size) == len(known[1])
    return 206, None


def decoded(coding, body):
    if coding == b'identity':
        return body
    return coder_of(coding.decode()).decode(body, 10_000_000)


STORES = {
    'memory': MemoryCache,
    'elsewhere': Elsewhere,
}

WEIGHTS = st.sampled_from([0, 0.001, 0.5, 1])
ALL = {'gzip': 1, 'br': 1, 'zstd': 1}
ACCEPTED = (
    st.sampled_from([ALL, ALL, {'*': 1}])
    | st.none()
    | st.dictionaries(st.sampled_from(['gzip', 'br', 'zstd', 'identity', '*']), WEIGHTS, max_size=4)
)
CONDITIONS = (None, None, None, 'if-none-match', 'several', 'if-modified-since', 'if-range', 'dated if-range')
RANGES = (None, None, None, b'bytes=0-9', b'bytes=5-', b'bytes=-7', b'bytes=999999-', b'bytes=0-1,3-4', b'lines=1-2')
REQUESTS = st.fixed_dictionaries(
    {
        'kind': st.integers(0, 1),
        'method': st.sampled_from(['GET', 'GET', 'GET', 'HEAD']),
        'accepted': ACCEPTED,
        'condition': st.sampled_from(CONDITIONS),
        'which': st.integers(0, 9),
        'range': st.sampled_from(RANGES),
        'no-transform': st.sampled_from([False] * 5 + [True]),
        'repeated': st.integers(1, 3),
    }
)
STEPS = st.one_of(
    REQUESTS,
    REQUESTS,
    REQUESTS,
    st.tuples(st.just('time passes'), st.sampled_from([0.5, 10, 61, 70, 100])),
    st.tuples(st.just('a new version'), st.integers(0, 1)),
)


def caches(coding, store, clock, *, near, signed):
    options = {
        'clock': clock,
        'signing_key': 'a secret of the servers' if signed else None,
        'near': NearCopies() if near else None,
    }
    yield FastAPICache(STORES[store](), compress=Compression(coding), **options)
    yield FastAPICache(STORES[store](), **options)


@settings(max_examples=EXAMPLES, **SETTINGS)
@given(
    st.sampled_from(CODINGS),
    st.sampled_from([*STORES]),
    st.lists(STEPS, min_size=12, max_size=25),
    st.lists(st.sampled_from(KINDS), min_size=2, max_size=2),
    st.booleans(),
    st.booleans(),
)
def compare(coding, store, steps, kinds, near, signed):
    clock, versions = Clock(), {}
    both = [*caches(coding, store, clock, near=near, signed=signed)]
    compressing, plain = (Had(app_of(it, versions), it is both[0]) for it in both)

    async def run():
        for it in steps:
            match it:
                case ('time passes', seconds):
                    clock.now += seconds
                case ('a new version', number):
                    kind = kinds[number]
                    versions[kind] = versions.get(kind, 0) + 1
                    for cache in both:
                        await cache.invalidate_tags(kind)
                case _:
                    asking = {**it, 'kind': kinds[it['kind']]}
                    for _ in range(it['repeated']):
                        ours, theirs = await got(asking, compressing, versions), await got(asking, plain, versions)
                        same(asking, ours, theirs, text_of(asking['kind'], versions.get(asking['kind'], 0)))

    asyncio.run(run())


def same(it, ours, theirs, whole):
    """Whether both clients end up with the same. A 304 and a 200 come to the same, and so do a part and the whole."""
    (status, body), (expected_status, expected) = ours, theirs
    if it['method'] == 'HEAD':
        assert {status, expected_status} <= {200, 304}
    elif {status, expected_status} <= {200, 304}:
        assert body == expected == whole or it['kind'] == 'encoded'
    elif status == expected_status:
        assert None in {body, expected} or status == 416 or body == expected
    else:  # a range of a representation that has another size, or whose tag the other client does not have
        assert it['range'] is not None
        assert {status, expected_status} <= {200, 206, 304, 416}
        assert status not in {200, 304} or body == whole


def test_whatever_is_accepted_and_asked_the_answer_is_that_of_a_cache_that_does_not_compress():
    compare()
    assert min(counts.values()) > 10, counts
    print(counts)


@pytest.mark.parametrize('coding', CODINGS)
def test_through_a_cache_in_front_every_client_gets_what_it_accepts(coding):
    @settings(max_examples=EXAMPLES // 3, **SETTINGS)
    @given(st.lists(REQUESTS, min_size=12, max_size=25), st.lists(st.sampled_from(KINDS), min_size=2, max_size=2))
    def compare_in_front(requests, kinds):
        had = Had(in_front_of(app_of(FastAPICache(clock=Clock(), compress=Compression(coding)), {})), compresses=True)

        async def run():
            for it in requests:
                await got({**it, 'kind': kinds[it['kind']], 'no-transform': False, 'range': None}, had, {})

        asyncio.run(run())

    compare_in_front()
