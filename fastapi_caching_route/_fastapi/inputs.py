"""What a route is seen to read of a request: everything that its endpoint and all its dependencies declare."""

from collections.abc import Callable
from itertools import count
from secrets import token_hex
from typing import Any

from fastapi.dependencies.models import Dependant
from starlette.datastructures import Headers, QueryParams
from starlette.requests import HTTPConnection

from fastapi_caching_route._fastapi.effective import Overrides, tree
from fastapi_caching_route._fastapi.parameters import Parameters
from fastapi_caching_route._key import Inputs, Parts, Scope, selected

_PROCESS = token_hex(8)
_serials = count()


class RouteInputs:
    """What one effective route is seen to read, dependency overrides applied."""

    __slots__ = ('_dependant', '_overridden', '_plain', '_provider', '_raw', '_vary')

    def __init__(self, effective: Any, vary: tuple[bytes, ...], *, raw: bool) -> None:
        """Read the declarations of what `effective_route` returned; `vary` names further request fields that count.

        `raw` says that the request is read in a way that no declaration shows.
        """
        self._dependant: Dependant = effective.dependant
        self._provider = effective.dependency_overrides_provider
        self._vary = vary
        self._raw = raw
        self._plain = declared_inputs(self._dependant, {}, vary, raw=raw)
        self._overridden: tuple[Parts, Inputs] = ((), self._plain)

    def __call__(self) -> Inputs:
        """The inputs under the overrides that are set at this moment: none in production, some in tests."""
        overrides = getattr(self._provider, 'dependency_overrides', None)
        if not overrides:
            return self._plain
        current = tuple(overrides.items())
        known, inputs = self._overridden
        if known != current:
            touched = any(node.call in overrides for node in tree(self._dependant, {}))
            inputs = self._plain
            if touched:
                inputs = declared_inputs(self._dependant, overrides, self._vary, raw=self._raw)
            self._overridden = (current, inputs)
        return inputs


def declared_inputs(dependant: Dependant, overrides: Overrides, vary: tuple[bytes, ...], *, raw: bool) -> Inputs:
    """All that the endpoint and its dependencies declare, the overriding ones in place of those overridden."""
    nodes = list(tree(dependant, overrides))
    query = Parameters('query', [field for node in nodes for field in node.query_params])
    headers = Parameters('header', [field for node in nodes for field in node.header_params])
    cookies = Parameters('cookie', [field for node in nodes for field in node.cookie_params])
    # What overrides stand for cannot be told from their names (two lambdas have one), so no entry outlives a change.
    override = (_PROCESS, next(_serials)) if overrides else ()

    def read(scope: Scope) -> Parts:
        return (
            query.read(QueryParams(scope['query_string'])) if query else (),
            headers.read(Headers(raw=list(scope['headers']))) if headers else (),
            cookies.read(HTTPConnection(scope).cookies) if cookies else (),
            selected(scope['headers'], vary),
            override,
        )

    return Inputs(
        read=read,
        selecting=tuple(dict.fromkeys((*headers.field_names, *((b'cookie',) if cookies else ()), *vary))),
        covered=frozenset((*headers.field_names, *vary)),
        body=any(node.body_params for node in nodes),
        declared=True,
        raw=raw or any(node.request_param_name or node.http_connection_param_name for node in nodes),
        fingerprint=(query.fingerprint, headers.fingerprint, cookies.fingerprint, vary),
    )


def builder_inputs(vary: tuple[bytes, ...]) -> Callable[[], Inputs]:
    """The inputs where a key builder makes the key, and answers for it: none but the fields that select a variant."""
    inputs = Inputs(
        read=lambda _scope: (),
        selecting=vary,
        covered=frozenset(),
        body=False,
        declared=False,
        raw=False,
        fingerprint=(),
    )
    return lambda: inputs
