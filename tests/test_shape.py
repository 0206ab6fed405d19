"""The shape of the tests: files that can be read in one go."""

from tests.servers import ROOT


def test_no_test_file_is_longer_than_500_lines():
    tests = [*(ROOT / 'tests').rglob('test_*.py'), *(ROOT / 'tests').rglob('conftest.py')]
    assert not [it.name for it in tests if len(it.read_text().splitlines()) > 500]
