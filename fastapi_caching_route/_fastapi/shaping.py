"""Whether FastAPI has made a response from what an endpoint returned, or the endpoint has returned a `Response` itself.

In the first case FastAPI adds the fields that dependencies have set on the response, in the second it drops them. Seen
from outside, both are the same messages; so a dependency of ours sets a field too, which we take off on its way out.
"""

from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.utils import get_dependant

from fastapi_caching_route._asgi import RECORDING, SHAPED


async def _say_shaped(request: Request, response: Response) -> None:
    if RECORDING in request.scope:
        response.headers[SHAPED.decode('ascii')] = '1'


def have_it_said(effective: Any) -> None:
    """Let an effective route say it from now on."""
    nodes = effective.dependant.dependencies
    if not any(is_ours(node) for node in nodes):
        nodes.append(get_dependant(path=effective.path_format, call=_say_shaped))


def is_ours(node: Any) -> bool:
    """Whether this is the dependency that says it, and not one of the user's."""
    return node.call is _say_shaped
