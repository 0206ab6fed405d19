"""ASGI's types, and every slot that we add to a scope, with the files that write it and those that read it.

A scope may be used again: a test, a middleware or an endpoint may send it once more, to the same route or to another one. So
each slot is set or cleared before it is read.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

Parts = tuple[object, ...]
"""Plain values that go into a key."""

STREAM_EXTENSIONS = frozenset(('http.response.pathsend', 'http.response.zerocopysend', 'http.response.trailers'))
"""Extensions that send a body past the cache. They are not offered to an endpoint whose response is recorded."""

HANDLER = 'fastapi_caching_route.handler'
"""The request handler that the route uses for this request in place of its own, or None.

Written by `_exchange/run`, `_exchange/guards`, and `_fastapi/extended`, which restores it for a route class that tries again.
Read by `_fastapi/extended`. Cleared by `route`: an endpoint that is not cached may get the scope of another route.
"""

ADMITTED = 'fastapi_caching_route.admitted'
"""Whether all guards of the route have let the request in; False if declared values are not valid.

Written by `_fastapi/extended`. Read and cleared by `_exchange/run`.
"""

OF_THE_ENDPOINT = 'fastapi_caching_route.of_the_endpoint'
"""Whether the response comes from the endpoint, or from a dependency that is no guard.

It is False while a guard runs and where declared values are not valid, and missing if the request has not reached the handler
of the route. Written by `_fastapi/extended` and `_fastapi/write_log`. Read by `_exchange/keeping`. Cleared by `_exchange/run`.
"""

WISHES = 'fastapi_caching_route.wishes'
"""The `Wishes` of endpoint and dependencies for this one response.

Written by `_exchange/guards` or `context`, whichever comes first, and read by both. Cleared by `_exchange/exchange` and, for a
renewal, by `_exchange/call`.
"""

WRITTEN = 'fastapi_caching_route.written'
"""The `Written` of this run: the response headers that dependencies and endpoint write.

Written by `_exchange/run` and `_exchange/guards`. Read by `_fastapi/admission` and `_fastapi/extended`.
"""

WRITE_LOG = 'fastapi_caching_route.write_log'
"""The `WriteLog` of this run, which fills its `Written`.

Written by `_fastapi/admission` and `_fastapi/extended`. Read and cleared by `_fastapi/write_log`.
"""

EARLY_VALUES = 'fastapi_caching_route.early_values'
"""The values of dependencies that ran before the key, by objects of their `EarlyValues`.

Written and read by `_fastapi/early_values`.
"""

PROCEED = 'fastapi_caching_route.proceed'
"""What goes on when dependencies that run by themselves have let the request in.

Written, read and cleared by `_fastapi/admission`.
"""

ROUTE_INVALIDATES = 'fastapi_caching_route.route_invalidates'
"""The `RequestedInvalidations` of a request whose route carries them out itself.

Written by `_routes/reached`. Read by `_routes/requested` and `_fastapi/writing`.
"""

REQUESTED = 'fastapi_caching_route.requested'
"""The `RequestedInvalidations` of a request on a route that does not: FastAPI's exit stacks carry them out.

Written and read by `_routes/requested`.
"""
