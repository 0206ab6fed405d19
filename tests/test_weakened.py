"""The list of weakened places, without weakening anything."""

import ast

from tests.weakened.__main__ import FOLDERS
from tests.weakened.covering import PACKAGE, ROOT, SLOW
from tests.weakened.rows import ROWS


def test_each_row_names_what_stands_in_its_file():
    assert not [it.name for it in ROWS if it.there not in (ROOT / PACKAGE / it.file).read_text()]


def test_each_row_leaves_code_that_can_run():
    """Else each test would fail, and none would show that the rule is held."""
    for row in ROWS:
        text = (ROOT / PACKAGE / row.file).read_text()
        weaker = text.replace(row.there, row.instead) + row.appended
        assert weaker != text, row.name
        ast.parse(weaker, row.name)


def test_no_two_rows_have_one_name():
    assert len({it.name for it in ROWS}) == len(ROWS)


def test_each_file_that_is_to_fail_is_there():
    assert not [it for it in FOLDERS if not list((ROOT / 'tests' / it).glob('test_*.py'))]
    assert {it.parent.name for it in (ROOT / 'tests').glob('*/test_*.py')} - {'add_ons'} == set(FOLDERS)
    assert not [it for it in SLOW if not list((ROOT / 'tests').glob(f'*/test_{it}.py'))]
