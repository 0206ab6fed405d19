"""OpenAPI of a cached route: the headers that the cache adds, and the 304."""

from copy import deepcopy
from inspect import signature
from typing import Any

from fastapi.routing import APIRoute

from fastapi_caching_route._http.conditional import CONDITIONAL

HEADERS = {
    'ETag': 'Identifies this version of the response; send it back in `If-None-Match` (RFC 9110 §8.8.3).',
    'Age': 'Seconds since the response was generated (RFC 9111 §5.1); absent if it is new.',
    'Cache-Status': 'How the cache handled the request, and why (RFC 9211).',
    'Cache-Control': 'How long other caches may store the response (RFC 9111 §5.2).',
}
NOT_MODIFIED = 304


_DECLARED = '__fastapi_caching_route_declared__'
"""The attribute of a described route that holds its own descriptions."""


def document(route: APIRoute, *, cache_status: bool, cache_control: bool) -> None:
    """Describe the headers and the 304 in the responses of a route. The user's own descriptions stay as they are."""
    left_out = {name for name, said in (('Cache-Status', cache_status), ('Cache-Control', cache_control)) if not said}
    headers = {
        name: {'description': text, 'schema': {'type': 'integer' if name == 'Age' else 'string'}}
        for name, text in HEADERS.items()
        if name not in left_out
    }
    described: list[tuple[int, dict[str, str]]] = [(_status_of(route), {})]
    if not CONDITIONAL.isdisjoint(route.methods or ()):
        described.append((NOT_MODIFIED, {'description': 'Not Modified: the client has the current response.'}))
    # FastAPI merges `openapi_extra` with the descriptions of the route and its includes; `responses` of the route would
    # replace those of its includes. Older releases change the user's objects when they merge, so we copy these.
    undocument(route)
    setattr(route, _DECLARED, (route.responses, route.openapi_extra))
    route.responses = deepcopy(route.responses)
    extra = deepcopy(route.openapi_extra or {})
    for status, texts in described:
        said = route.responses.get(status) or route.responses.get(str(status)) or {}
        response = _within(_within(extra, 'responses'), str(status))
        for name, text in texts.items():
            if name not in said:
                response.setdefault(name, text)
        for name, header in headers.items():
            if name.lower() not in {it.lower() for it in said.get('headers') or {}}:
                _within(response, 'headers').setdefault(name, header)
    route.openapi_extra = extra


def undocument(route: APIRoute) -> None:
    """Leave only the user's own descriptions."""
    declared = vars(route).pop(_DECLARED, None)
    if declared is not None:
        route.responses, route.openapi_extra = declared


def _within(whole: dict[str, Any], name: str) -> dict[str, Any]:
    """A part of a description, which is added if it is missing."""
    whole[name] = whole.get(name) or {}
    part: dict[str, Any] = whole[name]
    return part


def _status_of(route: APIRoute) -> int:
    """The default status of responses: that of the route, or of its response class."""
    response_class: Any = getattr(route.response_class, 'value', route.response_class)
    default = signature(response_class).parameters.get('status_code')
    of_class = default.default if default is not None and isinstance(default.default, int) else 200
    return route.status_code or of_class
