"""The recipe that runs a public test suite: what it needs, and what it prints."""

import shutil

import pytest

from tests import http_suite


@pytest.mark.parametrize(
    ('there', 'said'), [({'node'}, 'npm cannot be found'), (set(), 'node and npm cannot be found')], ids=str
)
def test_it_says_what_is_missing(there, said, monkeypatch):
    monkeypatch.setattr(shutil, 'which', lambda name: name if name in there else None)
    with pytest.raises(SystemExit, match=said):
        http_suite.main()


def test_it_counts_each_kind_and_names_the_required_tests_that_failed():
    tests = [
        {'suite': 'age', 'id': 'a', 'name': 'Age is read'},
        {'suite': 'age', 'id': 'b', 'name': 'Age is sent', 'kind': 'required'},
        {'suite': 'vary', 'id': 'c', 'name': 'Vary selects', 'kind': 'optimal'},
        {'suite': 'vary', 'id': 'd', 'name': 'for browsers', 'browser_only': True},
        {'suite': 'vary', 'id': 'e', 'name': 'a question', 'kind': 'check'},
    ]
    results = {'a': True, 'b': ['Assertion', 'there is none'], 'c': True, 'e': ['Assertion', 'no']}
    assert [*http_suite.report(tests, results)] == [
        'required: 1 of 2, optimal: 1 of 1',
        'age: b (Age is sent): Assertion there is none',
    ]
