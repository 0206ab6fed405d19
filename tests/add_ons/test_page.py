"""The page on other libraries: its snippets run, and each row of its table has tests."""

import re
import sys
from types import ModuleType

import pytest

from tests.add_ons.libraries import library
from tests.transcripts import PYTHON, ROOT

PAGE = (ROOT / 'docs' / 'other-libraries.md').read_text()
SECTIONS = dict(re.findall(r'^## (\S+)$(.*?)(?=^## |\Z)', PAGE, re.MULTILINE | re.DOTALL))
MODULES = {'strawberry-graphql': 'strawberry'}


def test_each_row_of_the_table_has_a_section_and_tests():
    rows = re.findall(r'^\| \[(\S+)\]\(#\S+\) \| .* \| `(\w+\.py)` \|$', PAGE, re.MULTILINE)
    assert [name for name, _ in rows] == list(SECTIONS)
    assert len(rows) == 8
    assert not [tests for _, tests in rows if not (ROOT / 'tests' / 'add_ons' / tests).exists()]


@pytest.mark.filterwarnings('default::UserWarning')  # fastapi-pagination warns of other libraries that are installed
@pytest.mark.parametrize('name', [name for name, text in SECTIONS.items() if '\nfrom ' in text])
def test_the_snippet_of_a_section_is_a_whole_app(name, monkeypatch):
    library(name.lower(), MODULES.get(name, name.replace('-', '_')))
    (snippet,) = PYTHON.findall(SECTIONS[name])
    module = ModuleType('snippet')
    monkeypatch.setitem(sys.modules, 'snippet', module)  # strawberry looks for it
    exec(snippet, module.__dict__)  # noqa: S102, it is ours
    assert module.app.openapi()['paths']
