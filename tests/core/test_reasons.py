"""Every reason that a response can show stands in one table, in the code and in the documentation."""

import ast
import re
from pathlib import Path

import pytest

import fastapi_caching_route
from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.read_names import PERSONAL_HEADERS
from fastapi_caching_route._core.reasons import BY_NAME, BYPASSES, Extent, Reason, named
from tests.reasons import PAGE, as_written

PACKAGE = Path(fastapi_caching_route.__file__).parent
TREES = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text()) for path in PACKAGE.rglob('*.py')}
OUTSIDE = {name: tree for name, tree in TREES.items() if name != '_core/reasons.py'}

MAKERS = {'Refused', 'Lost', 'Bypass'}
"""Records of which the first value is a reason."""
PLACES = {'detail', 'doubt', 'reason', 'refused'}
"""What holds a reason: arguments, attributes and variables of these names."""
ANSWERS = {'names_a_person', 'hidden_reason', 'storing', 'keep', 'keep_given', '_put', '_store_in_place'}
"""Functions that return a reason, or None."""


def literals(node):
    """The texts that an expression may have as its value."""
    match node:
        case ast.Constant(value=str() as text):
            yield text
        case ast.IfExp(body=body, orelse=orelse):
            yield from (*literals(body), *literals(orelse))
        case ast.BoolOp(values=values):
            yield from (text for value in values for text in literals(value))


def given(tree):
    """The texts that a file gives as a reason."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[first, *_]) if name in MAKERS:
                yield from literals(first)
            case ast.keyword(arg=name, value=value) if name in PLACES:
                yield from literals(value)
            case ast.Assign(targets=[ast.Attribute(attr=name) | ast.Name(id=name)], value=value) if name in PLACES:
                yield from literals(value)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield from defaults(node)
                returned = [it.value for it in ast.walk(node) if isinstance(it, ast.Return)]
                yield from (text for value in returned if name in ANSWERS for text in literals(value))
                yield from (text for table in refusals(node) for key in table.keys for text in literals(key))


def defaults(function):
    """The texts that stand for a reason where the caller gives none."""
    arguments = function.args.args
    for argument, default in zip(arguments[::-1], function.args.defaults[::-1], strict=False):
        if argument.arg in PLACES:
            yield from literals(default)


def refusals(function):
    """The tables of conditions in a function that refuses by the name of one."""
    calls = [it for it in ast.walk(function) if isinstance(it, ast.Call) and isinstance(it.func, ast.Name)]
    by_name = [it for it in calls if it.func.id == 'Refused' and isinstance(it.args[0], ast.Name)]
    return [it for it in ast.walk(function) if isinstance(it, ast.Dict)] if by_name else []


def referred(tree):
    """The names of the reasons that a file takes from the table."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id='reasons'), attr=name) if name.isupper():
                yield getattr(reasons, name).name


GIVEN = {text for tree in OUTSIDE.values() for text in given(tree) if text} | {it.decode() for it in PERSONAL_HEADERS}
REFERRED = {name for tree in OUTSIDE.values() for name in referred(tree)}


def test_every_reason_that_the_package_gives_is_in_the_table():
    assert not GIVEN - set(BY_NAME)


def test_the_search_finds_reasons_of_every_kind():
    by_http, by_key, by_store = {'set-cookie', 'live', 'size'}, {'authorization', 'cookie', 'user'}, {'store-slow'}
    assert by_http | by_key | by_store | {'status', 'no-store', 'invalidated'} <= GIVEN


def test_no_reason_in_the_table_is_without_use():
    assert not set(BY_NAME) - GIVEN - REFERRED


def test_every_name_is_taken_once():
    assert len(BY_NAME) == len([it for it in vars(reasons).values() if isinstance(it, Reason)])


@pytest.mark.parametrize('reason', BY_NAME.values(), ids=lambda it: it.name)
def test_every_reason_has_a_meaning(reason):
    assert reason.meaning
    assert reason.text or not reason.is_mistake


@pytest.mark.parametrize('reason', BY_NAME.values(), ids=lambda it: it.name)
def test_a_request_that_bypasses_the_cache_has_no_followers_to_tell(reason):
    assert reason.effect != BYPASSES or reason.also_not_stored or reason.extent is Extent.THIS_RESPONSE


def test_a_reason_that_user_code_makes_up_is_about_the_response():
    assert named('the moon is full') == Reason('the moon is full', extent=Extent.THIS_RESPONSE)


def test_the_documentation_has_the_table_of_the_code():
    assert PAGE.read_text() == as_written(), 'python -m tests.reasons writes it anew'


TROUBLES = PAGE.with_name('troubleshooting.md').read_text()


@pytest.mark.parametrize('name', BY_NAME)
def test_the_troubleshooting_page_has_a_cause_and_a_remedy_for_every_reason(name):
    row = re.search(rf'^\| `(?:detail=)?{re.escape(name)}` \| (\S.*) \| (\S.*) \|$', TROUBLES, re.MULTILINE)
    assert row, f'docs/troubleshooting.md says nothing of {name}'
