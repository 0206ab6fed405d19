"""What a route is seen to read of a request: everything that its endpoint and all its dependencies declare."""

from collections.abc import Sequence
from itertools import count
from secrets import token_hex

from fastapi.dependencies.models import Dependant
from starlette.datastructures import Headers, QueryParams
from starlette.requests import HTTPConnection

from fastapi_caching_route._fastapi.effective import Overrides, tree
from fastapi_caching_route._fastapi.parameters import Parameters
from fastapi_caching_route._key import Inputs, Parts, Scope, selected

_PROCESS = token_hex(8)
_serials = count()


def declared_inputs(roots: Sequence[Dependant], overrides: Overrides, vary: tuple[bytes, ...], *, raw: bool) -> Inputs:
    """All that these and their dependencies declare, the overriding ones in place of those overridden.

    `vary` names further request fields that count; `raw` says that the request is read in a way that nothing declares.
    """
    nodes = [node for root in roots for node in tree(root, overrides)]
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


def builder_inputs(vary: tuple[bytes, ...]) -> Inputs:
    """The inputs where a key builder makes the key, and answers for it: none but the fields that select a variant."""
    return Inputs(
        read=lambda _scope: (),
        selecting=vary,
        covered=frozenset(),
        body=False,
        declared=False,
        raw=False,
        fingerprint=(),
    )
