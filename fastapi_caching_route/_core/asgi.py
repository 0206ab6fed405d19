"""ASGI's types, and every slot that we add to a scope, with the files that write and read it.

A scope may be used again: a test, middleware or an endpoint may pass it to the same route or to another one. So each
slot is set or cleared before it is read.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

Parts = tuple[object, ...]
"""Plain values that are part of a cache key."""

STREAM_EXTENSIONS = frozenset(('http.response.pathsend', 'http.response.zerocopysend', 'http.response.trailers'))
"""Extensions that bypass the cache with the body. Endpoints whose responses are recorded do not see them."""

HANDLER = 'fastapi_caching_route.handler'
"""The request handler that replaces the route's own handler for this request, or None.

Written by `_exchange/run` and `_exchange/guards`, and by `_fastapi/extended`, which restores it for a route class that
tries again. Read by `_fastapi/extended`. Cleared by `route`, since an endpoint that is not cached may get the scope of
another route, and by `_fastapi/proceeding`, inside of which only guards run.
"""

ADMITTED = 'fastapi_caching_route.admitted'
"""Whether all guards of the route accepted the request; False if declared values are not valid.

Written by `_fastapi/extended`. Read by `_exchange/call`. Cleared by `_exchange/run`.
"""

OF_THE_ENDPOINT = 'fastapi_caching_route.of_the_endpoint'
"""Whether the response comes from the endpoint, or from a dependency that is not a guard.

It is False while a guard runs and if declared values are not valid. It is missing if the request did not reach the
handler of the route. Written by `_fastapi/extended`, `_fastapi/write_log` and `_functions/asking`. Read by
`_exchange/keeping` and `_exchange/call`. Cleared by `_exchange/run`.
"""

WISHES = 'fastapi_caching_route.wishes'
"""The `Wishes` of the endpoint and its dependencies for this response.

Written by `_exchange/guards`, `context` or `sessions/carrying`, whichever is first. Read by all of them and by
`_functions/asking` and `_fastapi/option_dependencies`. Cleared by `_exchange/arrival` and, for a renewal, by
`_exchange/call`.
"""

WRITTEN = 'fastapi_caching_route.written'
"""The `Written` of this run: the response headers that dependencies and the endpoint write.

Written by `_exchange/run` and `_exchange/guards`. Read by `_fastapi/admission` and `_fastapi/extended`.
"""

WRITE_LOG = 'fastapi_caching_route.write_log'
"""The `WriteLog` of this run, which fills its `Written`.

Written, and cleared at the end, by `_fastapi/admission` and `_fastapi/extended`. Read by `_fastapi/write_log`.
Restored by `_fastapi/proceeding`, for a route class that tries again.
"""

READ_LOG = 'fastapi_caching_route.read_log'
"""The `ReadLog` of this run: what code reads of the raw request.

Written by `_exchange/run`, and as None by `_exchange/guards`. Read by `_fastapi/extended`, `_fastapi/read_steps` and
`sessions/carrying`.
"""

EARLY_VALUES = 'fastapi_caching_route.early_values'
"""The values of dependencies that ran before the key was made, by the objects of `_fastapi/early_values` that hold
them.

Written and read by `_fastapi/early_values`.
"""

REQUEST_BODY = 'fastapi_caching_route.request_body'
"""The body of a request whose key is being built by a key builder, for `default_key`.

Written and cleared by `_exchange/keying`. Read by `_exchange/keying`, if a key builder asks for the default key.
"""

GIVEN_IDENTITY = 'fastapi_caching_route.identity'
"""The value of the dependency that gives the identity.

Written and read by `_fastapi/option_dependencies`. It is written anew in each request before it is read.
"""

PROCEED = 'fastapi_caching_route.proceed'
"""The function that continues the request after the guards of an admission accepted it.

Written by `_fastapi/admission` and, inside of a user's handler, by `_fastapi/proceeding`. Read by both, and cleared by
`_fastapi/admission`.
"""

ROUTE_INVALIDATES = 'fastapi_caching_route.route_invalidates'
"""The `RequestedInvalidations` of a request whose route performs them itself.

Written by `_routes/reached`. Read by `_routes/requested` and `_fastapi/writing`.
"""

REQUESTED = 'fastapi_caching_route.requested'
"""The `RequestedInvalidations` of a request on any other route: FastAPI's exit stacks perform them.

Written and read by `_routes/requested`.
"""

SESSIONS = 'fastapi_caching_route.sessions'
"""The `Carried` of a request: the sessions that were loaded, and the cookies that its response is to set.

Written and read by `sessions/carrying`.
"""

NAMES = 'fastapi_caching_route.names'
"""The names by which the result of a function can be invalidated, in the request that stands for its call.

Written by `_functions/calling`. Read by `_functions/planning`.
"""
