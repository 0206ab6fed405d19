"""Rules for the code of the package that a machine can hold; the order of imports is in `test_layers.py`."""

import ast
import io
import re
import tokenize
from collections import Counter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / 'fastapi_caching_route'
FILES = {path.relative_to(PACKAGE).as_posix(): path.read_text() for path in sorted(PACKAGE.rglob('*.py'))}
TREES = {name: ast.parse(text) for name, text in FILES.items()}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

MAX_LINES_OF_CODE = 30
LONGER = {
    '_core/entry.py: entry_of': 'one record, made of everything that is known of a response',
}
"""Functions with more lines of code, each with the reason."""

UPWARD = {
    ('_concurrency/lateness.py', '_beat', '_wait'): 'a timer that sets itself anew',
}
"""Methods that call one above them, each with the reason."""

BROAD = {
    'store trouble: whatever a client library raises': {
        *('_backends/link.py', '_backends/linked.py', '_store/debts.py', '_store/local.py', '_store/marks.py'),
        *('_backends/lmdb_jobs.py', '_store/at_once.py', '_store/remote.py', '_store/remote_visit.py'),
        *('_routes/all_workers.py', '_routes/listed.py'),
    },
    'the endpoint or a function failed, and something stale may answer': {'_exchange/run.py', '_functions/calling.py'},
    'a renewal, whose client has been served': {'_exchange/exchange.py'},
    "code of the user's, which raises again where FastAPI makes a response of it, or must cost no response": {
        *('_exchange/user_code.py', '_routes/hooks.py', '_fastapi/admission.py', '_fastapi/proceeding.py'),
        *('_fastapi/solving.py', '_fastapi/early_values.py', '_fastapi/parameters.py', '_fastapi/path_values.py'),
        *('_concurrency/observers.py', '_routes/warming_up.py'),
    },
    'odd objects that are mounted or held': {'_fastapi/effective.py', '_fastapi/schemas.py'},
}
"""The kinds of places that may catch everything, and their files."""
MAX_BROAD = 34


def lines_of_code(name, function):
    """The lines of a function that are neither docstring nor comment nor blank."""
    documented = {
        line
        for node in ast.walk(function)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, node.end_lineno + 1)
    }
    return len(CODE[name].intersection(range(function.lineno, function.end_lineno + 1)) - documented)


def code_in(text):
    no_code = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {line for it in tokens if it.type not in no_code for line in range(it.start[0], it.end[0] + 1)}


CODE = {name: code_in(text) for name, text in FILES.items()}


def test_a_function_is_short():
    long = {
        f'{name}: {node.name}'
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, FUNCTIONS) and lines_of_code(name, node) > MAX_LINES_OF_CODE
    }
    assert long == set(LONGER)


def classes():
    for name, tree in TREES.items():
        yield from ((name, node) for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def test_a_method_is_called_only_by_code_above_it():
    upward = set()
    for name, it in classes():
        if name.partition('/')[0] not in {'_exchange', '_store', '_concurrency'}:
            continue
        methods = [node for node in it.body if isinstance(node, FUNCTIONS)]
        lines = {node.name: node.lineno for node in methods if not node.decorator_list}
        for method in methods:
            called = {node.attr for node in ast.walk(method) if is_of_self(node)}
            upward |= {(name, method.name, other) for other in called if lines.get(other, 10**6) < method.lineno}
    assert upward == set(UPWARD)


def is_of_self(node):
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == 'self'


def test_a_record_of_the_exchange_that_can_change_is_small():
    large = {}
    for name, it in classes():
        decorated = ' '.join(ast.unparse(decorator) for decorator in it.decorator_list)
        fields = [node for node in it.body if isinstance(node, ast.AnnAssign)]
        if name.startswith('_exchange/') and 'dataclass' in decorated and 'frozen=True' not in decorated:
            large |= {it.name: len(fields)} if len(fields) > 8 else {}
    assert not large


def test_only_five_kinds_of_places_catch_everything():
    broad = Counter(
        name
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {'Exception', 'BaseException'})
    )
    assert set(broad) == set().union(*BROAD.values())
    assert broad.total() <= MAX_BROAD


@pytest.mark.parametrize('name', FILES)
def test_a_docstring_says_what_a_file_knows(name):
    assert ast.get_docstring(TREES[name])


SLOTS = {
    node.targets[0].id: ast.literal_eval(following.value)
    for node, following in zip(TREES['_core/asgi.py'].body, TREES['_core/asgi.py'].body[1:], strict=False)
    if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("'fastapi_caching_route.")
}
"""The slots of a scope that are ours, with what is said of each."""


def written_to_scopes(tree):
    """The keys, as they are written in the source, under which something is put into a scope."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and is_scope(node.value):
            yield ast.unparse(node.slice)
        elif is_call_of(node, 'setdefault') and is_scope(node.func.value):
            yield ast.unparse(node.args[0])


def is_call_of(node, name):
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name


def is_scope(node):
    return ast.unparse(node).rpartition('.')[2] == 'scope'


NAMES_IN = {
    name.removesuffix('.py'): {it.id for it in ast.walk(tree) if isinstance(it, ast.Name)}
    for name, tree in TREES.items()
}
WRITTEN_IN = {name.removesuffix('.py'): set(written_to_scopes(tree)) for name, tree in TREES.items()}


def test_all_slots_of_a_scope_are_listed():
    assert set().union(*WRITTEN_IN.values()) == {*SLOTS, "'headers'", "'session'"}


@pytest.mark.parametrize('slot', SLOTS)
def test_a_slot_names_the_files_that_write_and_read_it(slot):
    using = {name for name, found in NAMES_IN.items() if slot in found and name != '_core/asgi'}
    writing = {name for name, found in WRITTEN_IN.items() if slot in found}
    said = SLOTS[slot].partition('\n\n')[2].replace('\n', ' ')
    files = {it for it in re.findall(r'`([\w/]+)`', said) if f'{it}.py' in FILES}
    written = said.partition('Written')[2].partition('. ')[0]
    assert (files, {it for it in files if f'`{it}`' in written}) == (using, writing)
