"""What OpenAPI says of a cached route: the fields that the cache adds, and the 304."""

from copy import deepcopy

from fastapi.routing import APIRoute

FIELDS = {
    'ETag': 'Names this very answer; send it back in `If-None-Match` (RFC 9110 §8.8.3).',
    'Age': 'Seconds since the answer was made (RFC 9111 §5.1); absent on one that is new.',
    'Cache-Status': 'What the cache has done with the request, and why (RFC 9211).',
    'Cache-Control': 'For how long others may keep the answer (RFC 9111 §5.2).',
}
NOT_MODIFIED = 304


def document(route: APIRoute, *, cache_status: bool, cache_control: bool) -> None:
    """Describe the fields and the 304 in the responses of a route; what the user says of them stays as it is."""
    left_out = {name for name, said in (('Cache-Status', cache_status), ('Cache-Control', cache_control)) if not said}
    fields = {
        name: {'description': text, 'schema': {'type': 'integer' if name == 'Age' else 'string'}}
        for name, text in FIELDS.items()
        if name not in left_out
    }
    described: list[tuple[int, dict[str, str]]] = [(route.status_code or 200, {})]
    if {'GET', 'HEAD'} & set(route.methods or ()):
        described.append((NOT_MODIFIED, {'description': 'Not Modified: the client has the answer.'}))
    # It is merged with all that the route and its includes say, where `responses` of the route would take the place of theirs.
    route.responses = deepcopy(
        route.responses
    )  # into which the older releases merge what follows, as if it were theirs
    extra = deepcopy(route.openapi_extra or {})
    for status, texts in described:
        said = route.responses.get(status) or route.responses.get(str(status)) or {}
        response = extra.setdefault('responses', {}).setdefault(str(status), {})
        for name, text in texts.items():
            if name not in said:
                response.setdefault(name, text)
        for name, field in fields.items():
            if name not in said.get('headers', {}):
                response.setdefault('headers', {}).setdefault(name, field)
    route.openapi_extra = extra
