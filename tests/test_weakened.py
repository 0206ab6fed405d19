"""The list of weakened places, without weakening anything."""

from tests.weakened.__main__ import FOLDERS
from tests.weakened.covering import PACKAGE, ROOT, SLOW
from tests.weakened.rows import ROWS


def test_each_row_names_what_stands_in_its_file():
    assert not [it.name for it in ROWS if it.there not in (ROOT / PACKAGE / it.file).read_text()]


def test_no_two_rows_have_one_name():
    assert len({it.name for it in ROWS}) == len(ROWS)


def test_each_file_that_is_to_fail_is_there():
    assert not [it for it in FOLDERS if not list((ROOT / 'tests' / it).glob('test_*.py'))]
    assert {it.parent.name for it in (ROOT / 'tests').glob('*/test_*.py')} - {'add_ons'} == set(FOLDERS)
    assert not [it for it in SLOW if not list((ROOT / 'tests').glob(f'*/test_{it}.py'))]
