"""Dependencies that give options: `identity=Depends(...)` and `tags=Depends(...)`, each solved once in a request.

The identity is solved before the key is made, and the tags on a miss, after the dependencies of the route. Knows
neither policies nor what becomes of the values.
"""

import logging
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_dependant
from starlette.requests import HTTPConnection

from fastapi_caching_route._core.asgi import GIVEN_IDENTITY, WISHES
from fastapi_caching_route._core.names import are_tags
from fastapi_caching_route._core.reasons import TAGS_CALLABLE

logger = logging.getLogger('fastapi_caching_route')


def depends_of(option: Any) -> Any:
    """The option if it is a `Depends(...)`; else None."""
    return option if callable(getattr(option, 'dependency', None)) else None


def given_identity(connection: HTTPConnection) -> object:
    """The value of the dependency that gives the identity of this request."""
    return connection.scope.get(GIVEN_IDENTITY)


def noting_identity(path: str, solved: Callable[..., Any]) -> Dependant:
    """A dependency that notes the value of another one as the identity of the request."""

    async def note_identity(request: Request, given: Annotated[Any, Depends(solved)]) -> None:
        request.scope[GIVEN_IDENTITY] = given

    return get_dependant(path=path, call=note_identity)


def adding_tags(path: str, depends: Any) -> Dependant:
    """A dependency that adds the tags which another one gives to the response of this request."""
    told = False

    async def add_tags(request: Request, given: Annotated[Any, depends]) -> None:
        nonlocal told
        wishes = request.scope[WISHES]
        if are_tags(given):
            wishes.tags.update(given)
            return
        wishes.refused = TAGS_CALLABLE.name
        if not told:
            told = True
            logger.warning('%r: tags=Depends(...) must give a list of str, so its responses are not stored', path)

    return get_dependant(path=path, call=add_tags)
