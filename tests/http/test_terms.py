"""The lifetime that a route gives to a status, and what that decides."""

import pytest
from msgspec.structs import replace

from fastapi_caching_route._http.terms import Terms

TERMS = Terms(
    accepted=frozenset({200, 404}), ttl=60, fallback_ttl=9, max_body_size=100, status_ttl=((404, 5), (500, 0))
)


@pytest.mark.parametrize(
    ('terms', 'status', 'expected'),
    [
        pytest.param(TERMS, 200, 60, id='the ttl of the route'),
        pytest.param(TERMS, 404, 5, id='the ttl of the status, in its place'),
        pytest.param(TERMS, 500, 0, id='a ttl of 0 is a ttl'),
        pytest.param(replace(TERMS, ttl=None), 200, None, id='none, and not that of the backend'),
        pytest.param(replace(TERMS, ttl=None), 404, 5, id='of the status, where the route has none'),
        pytest.param(replace(TERMS, chosen_ttl=7), 200, 60, id='of the route, whatever the endpoint chose'),
    ],
)
def test_a_status_has_its_own_ttl_or_that_of_the_route(terms, status, expected):
    assert terms.ttl_of(status) == expected


@pytest.mark.parametrize(
    ('terms', 'status', 'expected'),
    [
        pytest.param(TERMS, 200, False, id='a ttl'),
        pytest.param(TERMS, 500, True, id='a ttl of 0 for this status'),
        pytest.param(replace(TERMS, ttl=0), 200, True, id='a ttl of 0 for the route'),
        pytest.param(replace(TERMS, ttl=0), 404, False, id='a ttl for this status, where that of the route is 0'),
        pytest.param(replace(TERMS, ttl=None), 200, False, id='no ttl is not 0'),
        pytest.param(replace(TERMS, ttl=0, by_the_book=True), 200, False, id='by the book, where no ttl counts'),
        pytest.param(replace(TERMS, chosen_ttl=7), 500, False, id='the endpoint chose a ttl'),
        pytest.param(replace(TERMS, chosen_ttl=0), 200, True, id='the endpoint chose 0'),
        pytest.param(replace(TERMS, chosen_ttl=0, by_the_book=True), 200, True, id='the endpoint chose 0, by the book'),
    ],
)
def test_a_ttl_of_0_switches_a_status_off_unless_the_endpoint_chose_another(terms, status, expected):
    assert terms.is_off(status) is expected


@pytest.mark.parametrize(
    ('terms', 'status', 'expected'),
    [
        pytest.param(TERMS, 404, True, id='an error with a ttl of its own'),
        pytest.param(TERMS, 410, False, id='an error with the ttl of the route'),
        pytest.param(replace(TERMS, status_ttl=((400, 5),)), 400, True, id='the first of the errors'),
        pytest.param(replace(TERMS, status_ttl=((399, 5),)), 399, False, id='no error, with a ttl of its own'),
        pytest.param(replace(TERMS, by_the_book=True), 404, False, id='by the book'),
        pytest.param(replace(TERMS, windows_chosen=True), 404, False, id='the endpoint chose a stale window'),
        pytest.param(replace(TERMS, chosen_ttl=7), 404, True, id='the endpoint chose a ttl only'),
    ],
)
def test_an_error_with_a_ttl_of_its_own_is_short_lived(terms, status, expected):
    assert terms.is_short_lived(status) is expected


def test_terms_that_the_endpoint_leaves_alone_are_the_same_object():
    assert TERMS.for_one(None, None, None, covered=False) is TERMS


@pytest.mark.parametrize(
    ('chosen', 'expected'),
    [
        pytest.param((7, None, None), (7, 2, 3, False), id='a ttl'),
        pytest.param((None, 0, None), (None, 0, 3, True), id='a window of nothing is chosen'),
        pytest.param((None, None, 8), (None, 2, 8, True), id='the window for errors'),
    ],
)
def test_what_the_endpoint_chooses_replaces_what_the_route_says(chosen, expected):
    terms = replace(TERMS, stale_while_revalidate=2, stale_if_error=3).for_one(*chosen, covered=True)
    found = (terms.chosen_ttl, terms.stale_while_revalidate, terms.stale_if_error, terms.windows_chosen)
    assert (found, terms.authorization_covered) == (expected, True)
