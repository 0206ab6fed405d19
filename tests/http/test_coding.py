"""Which representation a request gets, if there is a compressed one: RFC 9110 §8.8.3, §12.5.3, §13, §14."""

import pytest

from fastapi_caching_route._http.coding import AS_IT_IS, Accepts, accepts, as_coded, as_plain, chosen, may_be_coded

PLAIN_TAG, CODED_TAG = b'"plain"', b'"coded"'
CODED = Accepts(coded=True, plain=True, prefers_coded=True)
CODED_ONLY = Accepts(coded=True, plain=False, prefers_coded=True)
PREFERS_PLAIN = Accepts(coded=True, plain=True, prefers_coded=False)


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        pytest.param((), AS_IT_IS, id='12.5.3: nothing is said'),
        pytest.param((b'',), AS_IT_IS, id='12.5.3: the empty list'),
        pytest.param((b'gzip',), CODED, id='12.5.3: it is listed'),
        pytest.param((b'br',), AS_IT_IS, id='12.5.3: another one is listed'),
        pytest.param((b'GZip',), CODED, id='8.4.1: in any case'),
        pytest.param((b'x-gzip',), CODED, id='8.4.1.3: its old name'),
        pytest.param((b'br', b'gzip'), CODED, id='5.3: in several lines'),
        pytest.param((b'br;q=1.0, gzip ; q=0.1',), CODED, id='12.4.2: a low weight'),
        pytest.param((b'gzip;q=0',), AS_IT_IS, id='12.4.2: not acceptable'),
        pytest.param((b'gzip;q=0.000',), AS_IT_IS, id='12.4.2: not acceptable, in full'),
        pytest.param((b'gzip;q=0, gzip',), AS_IT_IS, id='listed twice'),
        pytest.param((b'gzip;q=high',), AS_IT_IS, id='12.4.2: no weight'),
        pytest.param((b'gzip;q=2',), AS_IT_IS, id='12.4.2: too high a weight'),
        pytest.param((b'gzip;q =0',), AS_IT_IS, id='12.4.2: a space before the sign'),
        pytest.param((b'gzip; q = 0',), AS_IT_IS, id='12.4.2: spaces around the sign'),
        pytest.param((b'gzip;q=0;q=1',), AS_IT_IS, id='12.4.2: two weights'),
        pytest.param((b'gzip;q=0.0000',), AS_IT_IS, id='12.4.2: too many digits'),
        pytest.param((b'*;q=0.0000',), AS_IT_IS, id='12.4.2: too many digits for all others'),
        pytest.param((b'gzip, identity;q=0.0000',), CODED, id='12.4.2: too many digits for identity'),
        pytest.param((b'*',), CODED, id='12.5.3: all others'),
        pytest.param((b'*;q=0',), AS_IT_IS, id='12.5.3: nothing at all'),
        pytest.param((b'gzip;q=0, *',), AS_IT_IS, id='12.5.3: all but this'),
        pytest.param((b'gzip, *;q=0',), CODED_ONLY, id='12.5.3: only this'),
        pytest.param((b'gzip, identity;q=0',), CODED_ONLY, id='12.5.3: no identity'),
        pytest.param((b'gzip;q=0.1, identity;q=0',), CODED_ONLY, id='12.5.3: no identity, a low weight'),
        pytest.param((b'identity;q=0',), AS_IT_IS, id='12.1: neither'),
        pytest.param((b'identity, gzip;q=0.5',), PREFERS_PLAIN, id='12.5.3: rather identity'),
        pytest.param((b'identity;q=0.5, gzip;q=0.5',), CODED, id='12.5.3: as much as identity'),
        pytest.param((b'gzip;level=1;q=0',), AS_IT_IS, id='a parameter before the weight'),
        pytest.param((b'gzip, ' + b'x, ' * 1000,), CODED, id='a very long one'),
    ],
)
def test_what_a_client_accepts(given, expected):
    assert accepts([(b'host', b'a'), *((b'accept-encoding', it) for it in given)], b'gzip') == expected


@pytest.mark.parametrize('said', [b'no-transform', b'max-age=0, No-Transform'])
def test_a_client_that_wants_no_transformation_gets_what_is_plain(said):
    assert accepts([(b'accept-encoding', b'gzip'), (b'cache-control', said)], b'gzip') == AS_IT_IS


@pytest.mark.parametrize(
    ('content_type', 'expected'),
    [
        (b'application/json', True),
        (b'Application/JSON; charset=utf-8', True),
        (b'application/problem+json', True),
        (b'text/html; charset=utf-8', True),
        (b'image/svg+xml', True),
        (b'image/png', False),
        (b'image/jpeg', False),
        (b'video/mp4', False),
        (b'application/zip', False),
        (b'application/pdf', False),
        (b'font/woff2', False),
        (b'application/octet-stream', False),
        (b'', False),
    ],
)
def test_only_what_gets_smaller_is_compressed(content_type, expected):
    assert may_be_coded(200, [(b'content-type', content_type)]) is expected


@pytest.mark.parametrize(
    ('status', 'more'),
    [
        pytest.param(200, (b'content-encoding', b'br'), id='8.4: it is coded already'),
        pytest.param(200, (b'content-encoding', b'identity'), id='8.4: somebody says that it is not'),
        pytest.param(200, (b'content-range', b'bytes 0-1/9'), id='14.4: it is a part'),
        pytest.param(200, (b'cache-control', b'public, no-transform'), id='7.7: it must not be transformed'),
        pytest.param(200, (b'cdn-cache-control', b'No-Transform'), id='9213: no cache in front may either'),
        pytest.param(200, (b'content-type', b'text/plain'), id='8.3: it has two types'),
        pytest.param(206, (b'a', b'b'), id='15.3.7: a part'),
        pytest.param(204, (b'a', b'b'), id='15.3.5: no content'),
    ],
)
def test_what_is_never_compressed(status, more):
    assert not may_be_coded(status, [(b'content-type', b'text/plain'), more])


HEADERS = (
    (b'content-type', b'text/plain'),
    (b'content-length', b'5000'),
    (b'etag', PLAIN_TAG),
    (b'content-md5', b'of the plain body'),
    (b'content-digest', b'of the plain body'),
    (b'repr-digest', b'of the plain body'),
    (b'vary', b'Accept-Language'),
)


def test_the_coded_representation_has_a_tag_and_a_length_of_its_own():
    assert as_coded(HEADERS, b'gzip', CODED_TAG, 99) == [
        (b'content-type', b'text/plain'),
        (b'content-encoding', b'gzip'),
        (b'etag', CODED_TAG),
        (b'content-length', b'99'),
        (b'vary', b'accept-language, accept-encoding'),
    ]


def test_the_plain_representation_says_what_selects_it():
    assert as_plain(HEADERS) == [*HEADERS[:-1], (b'vary', b'accept-language, accept-encoding')]


def test_a_response_without_tag_has_none_when_it_is_coded():
    assert b'etag' not in dict(as_coded([it for it in HEADERS if it[0] != b'etag'], b'gzip', CODED_TAG, 99))


RANGE = (b'range', b'bytes=0-9')


@pytest.mark.parametrize(
    ('asked', 'accepted', 'is_coded', 'is_unchanged', 'keeps_range'),
    [
        pytest.param((), CODED, True, False, False, id='no condition'),
        pytest.param((), PREFERS_PLAIN, False, False, False, id='rather plain'),
        pytest.param(((b'if-none-match', CODED_TAG),), CODED, True, True, False, id='13.1.2: it has the coded one'),
        pytest.param(((b'if-none-match', b'W/' + CODED_TAG),), CODED, True, True, False, id='13.1.2: weakly'),
        pytest.param(((b'if-none-match', PLAIN_TAG),), CODED, False, True, False, id='13.1.2: it has the plain one'),
        pytest.param(
            ((b'if-none-match', PLAIN_TAG + b', ' + CODED_TAG),), CODED, True, True, False, id='13.1.2: it has both'
        ),
        pytest.param(((b'if-none-match', b'*'),), CODED, True, True, False, id='13.1.2: anything'),
        pytest.param(((b'if-none-match', b'"x"'),), CODED, True, False, False, id='13.1.2: it has another one'),
        pytest.param(
            ((b'if-none-match', CODED_TAG),), AS_IT_IS, False, False, False, id='13.1.2: it has what it cannot read'
        ),
        pytest.param(
            ((b'if-none-match', PLAIN_TAG),), CODED_ONLY, True, False, False, id='13.1.2: it has what it refuses'
        ),
        pytest.param((RANGE,), CODED, False, False, True, id='14.2: a part of the plain one'),
        pytest.param((RANGE,), CODED_ONLY, True, False, True, id='14.2: a part, and nothing plain'),
        pytest.param(((b'range', b'bytes=0-1,3-4'),), CODED, True, False, True, id='14.2: a range that is ignored'),
        pytest.param((RANGE, (b'if-range', CODED_TAG)), CODED, True, False, True, id='13.1.5: more of the coded one'),
        pytest.param((RANGE, (b'if-range', PLAIN_TAG)), CODED, True, False, False, id='13.1.5: it wants all of it'),
        pytest.param((RANGE, (b'if-range', PLAIN_TAG)), AS_IT_IS, False, False, True, id='13.1.5: of the plain one'),
        pytest.param((RANGE, (b'if-range', CODED_TAG)), AS_IT_IS, False, False, True, id='13.1.5: cannot read it'),
        pytest.param(
            (RANGE, (b'if-range', b'W/' + CODED_TAG)), CODED, True, False, False, id='13.1.5: not by a weak tag'
        ),
        pytest.param(
            (RANGE, (b'if-range', b'Fri, 15 Jan 2027 07:59:00 GMT')), CODED, True, False, False, id='8.8.2.2: a date'
        ),
        pytest.param(
            (RANGE, (b'if-none-match', CODED_TAG)), CODED, True, True, True, id='13.2.2: preconditions come first'
        ),
    ],
)
def test_the_representation_for_a_request(asked, accepted, is_coded, is_unchanged, keeps_range):
    found = chosen('GET', asked, accepted, 200, HEADERS, tag=CODED_TAG, size=5000, now=1_800_000_000.0)
    assert (found.is_coded, found.is_unchanged) == (is_coded, is_unchanged)
    assert (b'range' in dict(found.request)) is keeps_range


def test_without_a_tag_no_tag_matches():
    asked = [RANGE, (b'if-none-match', b''), (b'if-range', b'')]
    found = chosen('GET', asked, CODED, 200, (), tag=CODED_TAG, size=5000, now=1_800_000_000.0)
    assert (found.is_coded, found.is_unchanged, b'range' in dict(found.request)) == (True, False, False)


def test_a_status_other_than_200_has_neither_conditions_nor_parts():
    asked = [RANGE, (b'if-none-match', PLAIN_TAG)]
    found = chosen('GET', asked, CODED, 404, HEADERS, tag=CODED_TAG, size=5000, now=1_800_000_000.0)
    assert (found.is_coded, found.is_unchanged) == (True, False)
