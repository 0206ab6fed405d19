"""The code that reads an attribute of a request: FastAPI itself or user code, and what it does with the attribute next.

It looks at frames and instructions. What is not recognized counts as user code that reads everything, so that a release
of Python or FastAPI that differs costs sharing. What is recognized has to be right: readings are tested one by one.
"""

import dis
import sys
from collections.abc import Collection
from functools import lru_cache
from types import CodeType, FrameType

SOLVER = frozenset(('fastapi.routing', 'fastapi.dependencies.utils'))
"""The modules in which FastAPI reads what a route declares."""

_OURS = 'fastapi_caching_route.'
_TEMPLATES = 'jinja2.'
_LOADS = frozenset(('LOAD_ATTR', 'LOAD_METHOD'))
_SIMPLE = ('LOAD_CONST', 'LOAD_FAST', 'LOAD_GLOBAL', 'LOAD_DEREF', 'LOAD_NAME', 'LOAD_SMALL_INT')
_TESTS = ('POP_JUMP', 'JUMP_IF_FALSE', 'TO_BOOL', 'UNARY_NOT')
"""What consumes a value by its truth. `JUMP_IF_TRUE_OR_POP`, of `value or other`, is none: the value goes on."""


def is_declared(frame: FrameType, name: str, schemes: Collection[object]) -> bool:
    """Whether FastAPI reads the attribute `name` in this frame for what is declared, or we do so."""
    module = frame.f_globals.get('__name__', '')
    if module in SOLVER:
        # Code that was compiled to a C extension has no frame: then FastAPI's own stands at the call of that code.
        return _loaded(frame.f_code, frame.f_lasti) == name
    if module.startswith(_OURS):
        return True
    if not module.startswith('fastapi.security.'):
        return False
    called_by = frame.f_back
    scheme = frame.f_locals.get('self')
    is_called_for_itself = called_by is not None and called_by.f_globals.get('__name__') in SOLVER
    return is_called_for_itself and any(scheme is it for it in schemes)


@lru_cache(4096)
def _loaded(code: CodeType, at: int) -> str | None:
    # A frame may stand at the inline cache after the instruction.
    *_, last = [it for it in dis.get_instructions(code) if it.offset <= at]
    return str(last.argval) if last.opname in _LOADS else None


def use_of_result(frame: FrameType) -> tuple[str, str]:
    """What is done at once with the attribute that is read in this frame, and never again.

    `('attribute', name)`, `('item', '')`, `('in', '')`, `('test', '')`, or `('', '')` for anything else.
    """
    module = frame.f_globals.get('__name__', '')
    if module.startswith(_TEMPLATES) and frame.f_code.co_name in {'getattr', 'getitem'} and frame.f_back is not None:
        template = frame.f_back
        return _use_in_template(template.f_code, template.f_lasti)
    return _use(frame.f_code, frame.f_lasti)


@lru_cache(4096)
def _use(code: CodeType, at: int) -> tuple[str, str]:
    first, second = _following(code, at)
    if first.opname in _LOADS:
        return 'attribute', str(first.argval)
    if first.opname == 'CONTAINS_OP':
        return 'in', ''
    if first.opname.startswith(_TESTS) or second.opname == 'IS_OP':
        return 'test', ''
    is_item = second.opname == 'BINARY_SUBSCR' or '[]' in second.argrepr
    return ('item', '') if is_item and first.opname.startswith(_SIMPLE) else ('', '')


@lru_cache(4096)
def _use_in_template(code: CodeType, at: int) -> tuple[str, str]:
    """The same in a template, where Jinja reads attributes by calls: `environment.getattr(value, 'name')`."""
    first, second = _following(code, at)
    if first.opname == 'CONTAINS_OP':
        return 'in', ''
    is_call_with_two = second.opname in _CALLS and second.arg == 2
    if first.opname == 'LOAD_CONST' and is_call_with_two and isinstance(first.argval, str):
        return 'attribute', first.argval
    return '', ''


_CALLS = frozenset(('CALL', 'PRECALL', 'CALL_METHOD', 'CALL_FUNCTION'))
_PASSIVE = frozenset(('CACHE', 'EXTENDED_ARG', 'NOP', 'RESUME', 'COPY_FREE_VARS', 'PUSH_NULL', 'NOT_TAKEN'))
"""Instructions that do nothing here."""


def _following(code: CodeType, at: int) -> tuple[dis.Instruction, dis.Instruction]:
    """The two instructions after this one; the last ones of a function return, which is no use that counts."""
    instructions = [*dis.get_instructions(code)]
    found = [it for it in instructions if it.offset > at and it.opname not in _PASSIVE]
    first, second, *_ = [*found[:2], instructions[-1], instructions[-1]]
    return first, second


def caller() -> FrameType:
    """The frame of the code that reads a property, for the function that makes its value."""
    return sys._getframe(2)  # noqa: SLF001, there is no other way
