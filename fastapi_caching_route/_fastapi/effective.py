"""The route as a request reached it: with the prefix and the dependencies of its includes."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import FunctionType, MethodType, UnionType
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_dependant
from fastapi.routing import APIRoute

from fastapi_caching_route._core.asgi import Parts, Scope

Overrides = Mapping[Callable[..., Any], Callable[..., Any]]

_ADDRESS = re.compile(r' at 0x[0-9a-fA-F]+')
_OURS, _HANDLER = 'fastapi_caching_route.', 'get_route_handler'
_SERIALIZATION = ('include', 'exclude', 'by_alias', 'exclude_unset', 'exclude_defaults', 'exclude_none')


def effective_route(route: APIRoute, scope: Scope) -> Any:
    """The route as this request reached it: itself, or itself with the prefix and dependencies of its includes."""
    included = scope.get('fastapi')
    context = included.get('effective_route_context') if included else None
    return context if context is not None and context.original_route is route else route


def declaration(effective: Any) -> Parts:
    """The declaration of an effective route without its inputs: equal in all processes that run the same code."""
    return (
        effective.path_format,
        tuple((qualified(node.call), texts_in(node.call)) for node in tree(effective.dependant, {})),
        qualified(effective.response_model),
        qualified(getattr(effective.response_class, 'value', effective.response_class)),
        effective.status_code,
        tuple(qualified(getattr(effective, f'response_model_{it}')) for it in _SERIALIZATION),
    )


def objects_of(effective: Any) -> Parts:
    """The objects of which an effective route consists. They distinguish routes with equal declarations."""
    return (*(node.call for node in tree(effective.dependant, {})), effective.response_model)


def texts_in(thing: Any, depth: int = 2) -> Parts:
    """The str and bytes values that a closure, object, bound method or partial object holds.

    They distinguish callables with the same name.
    """
    if isinstance(thing, partial):
        held = [thing.func, *thing.args, *(thing.keywords[name] for name in sorted(thing.keywords))]
    elif isinstance(thing, MethodType):
        held = [thing.__self__]
    elif isinstance(thing, FunctionType):
        held = [_content(cell) for cell in thing.__closure__ or ()]
    else:
        own = {} if isinstance(thing, type) else _attributes(thing)
        held = [own[name] for name in sorted(own, key=str)]
    texts: list[object] = [it for it in held if isinstance(it, str | bytes)]
    if depth:
        texts += [texts_in(it, depth - 1) for it in held if callable(it)]
    return tuple(texts)


def _attributes(thing: Any) -> Mapping[Any, Any]:
    try:
        return dict(vars(thing))
    except Exception:  # noqa: BLE001, an unusual object: only its name is used
        return {}


def _content(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # the cell is empty
        return None


def is_named(thing: Any) -> bool:
    """Whether its name identifies it: a function or class of a module, or one of FastAPI's own schemes."""
    if thing is None or type(thing).__module__.partition('.')[0] in {'fastapi', 'types', 'typing'}:
        return True
    return isinstance(thing, FunctionType | type) and '<locals>' not in thing.__qualname__


def reads_raw(route: APIRoute, ours: type[APIRoute]) -> bool:
    """Whether the class of a route can read the raw request, in its own handler that runs inside of ours."""
    classes = type(route).__mro__[: type(route).__mro__.index(APIRoute)]
    inside = classes[classes.index(ours) + 1 :]
    handlers = any(_HANDLER in vars(it) for it in classes if it is not ours)
    return handlers or any('handle' in vars(it) for it in inside)


def has_own_handler(route: APIRoute) -> bool:
    """Whether the class of a route has a handler of the user's, in front of ours or behind it."""
    classes = type(route).__mro__[: type(route).__mro__.index(APIRoute)]
    return any(_HANDLER in vars(it) and not it.__module__.startswith(_OURS) for it in classes)


def handler_behind(route: APIRoute) -> Any:
    """The handler that ours calls: that of a class of the user's behind it, else FastAPI's."""
    classes = type(route).__mro__
    ours = [at for at, it in enumerate(classes) if it.__module__.startswith(_OURS) and _HANDLER in vars(it)]
    behind: Any = next(it for it in classes[ours[-1] + 1 if ours else 0 :] if _HANDLER in vars(it))
    return behind.get_route_handler(route)


def takes(effective: Any, kind: type) -> bool:
    """Whether the endpoint or one of its dependencies declares this class as a dependency."""
    nodes = tree(effective.dependant, {})
    return any(isinstance(node.call, type) and issubclass(node.call, kind) for node in nodes)


def runs_after_answer(effective: Any) -> bool:
    """Whether code of the route may run after its response was sent: code after a `yield`, or background tasks."""
    return any(yields(node.call) or node.background_tasks_param_name for node in tree(effective.dependant, {}))


def yields(call: Any) -> bool:
    """Whether a dependency is a generator, so that it continues after its `yield`."""
    called = inspect.unwrap(call.func if isinstance(call, partial) else call)
    if not inspect.isroutine(called):
        called = type(called).__call__
    return inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called)


def tree(dependant: Dependant, overrides: Overrides) -> Iterator[Dependant]:
    """The node and all nodes below it, with overrides applied."""
    yield dependant
    for sub in dependant.dependencies:
        yield from tree(overridden(sub, overrides), overrides)


def overridden(dependency: Dependant, overrides: Overrides) -> Dependant:
    """The dependency itself, or the one that overrides it."""
    call = overrides.get(dependency.call, dependency.call) if dependency.call is not None else None
    if call is None or call is dependency.call:
        return dependency
    return get_dependant(path=dependency.path or '', call=call, name=dependency.name)


def qualified(thing: object) -> str:
    """The qualified name of a class or function; the repr of anything else, without addresses."""
    # From Python 3.14 on, all unions have the name `Union`, whatever their members.
    name = None if isinstance(thing, UnionType) else getattr(thing, '__qualname__', None)
    return f'{getattr(thing, "__module__", "")}.{name}' if name else without_addresses(repr(thing))


def without_addresses(text: str) -> str:
    """The text without the addresses of objects, which differ between processes."""
    return _ADDRESS.sub('', text)
