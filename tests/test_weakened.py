"""The list of weakened places, without weakening anything."""

from tests.weakened import LEFT_OUT_TESTS, ROOT, TESTS, WEAKENED


def test_each_row_names_what_stands_in_its_file():
    package = ROOT / 'fastapi_caching_route'
    assert not [name for name, file, there, *_ in WEAKENED if there not in (package / file).read_text()]


def test_each_file_that_is_to_fail_is_there():
    assert not [it for it in TESTS if not list((ROOT / 'tests' / it).glob('test_*.py'))]
    assert not [it for it in LEFT_OUT_TESTS if not list((ROOT / 'tests').glob(f'*/test_{it}.py'))]
