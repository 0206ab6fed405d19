"""The reverse proxy of the examples: what it adds to `mode='rfc9111'`."""

from tests.promises.origins import FRESH, status_of


def test_an_origin_that_hangs_up_is_a_bad_gateway(ask, origin):
    origin.down = True
    response = ask()
    assert (response.status_code, response.content) == (502, b'')
    assert status_of(response) == 'fwd=uri-miss; detail=freshness'


def test_what_is_no_final_status_is_a_bad_gateway(ask, origin):
    origin.answers(status=999)
    assert ask().status_code == 502


def test_queries_are_told_apart_by_their_content(ask, origin):
    origin.answers(FRESH)
    stored = [status_of(ask('QUERY', content=it)) for it in (b'a', b'b', b'a')]
    assert stored[:2] == ['fwd=uri-miss; stored'] * 2
    assert stored[2].startswith('hit; ')


def test_languages_in_another_order_are_one_variant(ask, origin):
    origin.answers(FRESH, ('Vary', 'Accept-Language'))
    ask(accept_language='en, de;q=0.5, fr')
    assert status_of(ask(accept_language='fr, en, de;q=0.5')).startswith('hit')
    assert status_of(ask(accept_language='fr, en, de')) == 'fwd=vary-miss; stored'
