"""JSON in and out. Knows nothing of caches."""

from typing import Any, TypeVar

import msgspec
from fastapi import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fastapi_caching_route._core.as_json import as_json

MAX_BYTES = 64 * 1024
"""Of the body of a request."""

T = TypeVar('T')


def json_response(value: Any, status: int = 200) -> Response:
    """A response with this value."""
    return Response(as_json(value), status, media_type='application/json')


async def received(request: Request, kind: type[T]) -> T:
    """The body of a request, which is JSON of this kind. It is read after the guards have let the request in.

    Raises:
        HTTPException: it is not.

    """
    if request.headers.get('content-type', '').partition(';')[0].strip().lower() != 'application/json':
        raise HTTPException(415, 'send the body as application/json')
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BYTES:
            raise HTTPException(413, f'the body is larger than {MAX_BYTES} bytes')
    try:
        return msgspec.json.decode(bytes(body), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise HTTPException(422, str(error)) from None
