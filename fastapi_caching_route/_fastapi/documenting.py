"""What OpenAPI says of a cached route: the fields that the cache adds, and the 304."""

from collections.abc import Mapping
from typing import Any

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
    responses: dict[int | str, dict[str, Any]] = {**route.responses}
    for status, text in ((route.status_code or 200, None), (NOT_MODIFIED, 'Not Modified: the client has the answer.')):
        key = str(status) if str(status) in responses else status
        responses[key] = _merged(responses.get(key, {}), fields, text)
    route.responses = responses


def _merged(said: Mapping[str, Any], fields: Mapping[str, Any], text: str | None) -> dict[str, Any]:
    described = {} if text is None else {'description': text}
    return {**described, **said, 'headers': {**fields, **said.get('headers', {})}}
