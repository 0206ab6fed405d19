"""ASGI's types, and every slot of a scope that is ours: who writes it, who reads it."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]


Message = MutableMapping[str, Any]


Parts = tuple[object, ...]


Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

STREAM_EXTENSIONS = frozenset(('http.response.pathsend', 'http.response.zerocopysend', 'http.response.trailers'))
"""Extensions by which a body would travel unseen; an endpoint that is recorded must not be offered them."""


HANDLER = 'fastapi_caching_route.handler'
"""Where a scope names the request handler that the route is to use for this one request."""


ADMITTED = 'fastapi_caching_route.admitted'
"""Where a scope says that all dependencies of the route have let the request in."""

OF_THE_ENDPOINT = 'fastapi_caching_route.of_the_endpoint'
"""Where a scope says whether the response comes from the endpoint or a dependency that is no guard. It is False while a
guard runs, and where declared values are not valid; it is missing where the request has not reached the route's handler."""


WISHES = 'fastapi_caching_route.wishes'
"""Where a scope holds it."""


WRITTEN = 'fastapi_caching_route.written'
"""Where a scope holds the `Written` of the run that begins with it."""


REQUESTED = 'fastapi_caching_route.requested'


ROUTE_INVALIDATES = 'fastapi_caching_route.route_invalidates'
"""Where a scope says that the route itself does what has to happen after its endpoint."""


HANDED = 'fastapi_caching_route.handed'
"""Where a scope holds the values, each under an object of the `Handing` that knows it."""


NOTING = 'fastapi_caching_route.noting'
"""Where a scope holds the `Noting` of the run that begins with it."""


PROCEED = 'fastapi_caching_route.proceed'
