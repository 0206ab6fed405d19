"""The options of `FastAPICache` as one type, for the ways to build a cache other than from a backend."""

from collections.abc import Callable, Collection, Sequence
from contextvars import ContextVar
from typing import Annotated, Any, Literal

from typing_extensions import Doc, TypedDict

from fastapi_caching_route.events import Observer
from fastapi_caching_route.near import NearCopies
from fastapi_caching_route.policy import CachePolicy
from fastapi_caching_route.purge import Purge
from fastapi_caching_route.surrogates import SurrogateKeys


class CacheOptions(TypedDict, total=False):
    """The keyword options of `FastAPICache`, all of them optional; see there for what they mean."""

    namespace_policy: Annotated[Literal['concat', 'replace'], Doc("What a route's namespace does to the backend's.")]
    cache_header: Annotated[str, Doc('The response header that says HIT or MISS.')]
    cache_header_hit: Annotated[str, Doc('Its value on a response from an entry.')]
    cache_header_miss: Annotated[str, Doc('Its value on a response that is being stored.')]
    cache_status: Annotated[str | None, Doc('The name of this cache in `Cache-Status`.')]
    accepted_status_codes: Annotated[Collection[int], Doc('Statuses of which responses are stored.')]
    version: Annotated[str, Doc('Part of every key of declared inputs.')]
    policy: Annotated[CachePolicy | None, Doc('Defaults for the options of `@cache(...)`.')]
    signing_key: Annotated[str | bytes | Sequence[str | bytes] | None, Doc('Signs entries outside of the process.')]
    store_timeout: Annotated[float, Doc('Seconds to wait for a backend outside of the process.')]
    harmless_context: Annotated[
        Collection[ContextVar[Any]], Doc('Context variables that middleware sets, and that name no person.')
    ]
    left_out_of_raw_keys: Annotated[Collection[str], Doc('Request headers that are not in the keys of raw requests.')]
    recording_budget: Annotated[int, Doc('Bytes that all streams together hold that are being recorded.')]
    clock: Annotated[Callable[[], float], Doc('Seconds since the epoch.')]
    mode: Annotated[Literal['policy', 'rfc9111'], Doc('Whether the route or the headers decide.')]
    invalidate_on_write: Annotated[bool, Doc('Whether a successful write invalidates its path.')]
    document: Annotated[bool, Doc('Whether OpenAPI describes cached routes.')]
    observer: Annotated[Observer | Sequence[Observer] | None, Doc('Functions that get a record of each response.')]
    strict: Annotated[bool, Doc('Whether what is wrong as an app starts is an error.')]
    near: Annotated[NearCopies | None, Doc('Copies of entries in this process.')]
    surrogate_keys: Annotated[str | SurrogateKeys | None, Doc('The header with the tags for caches in front.')]
    purge: Annotated[Purge | None, Doc('Sends invalidations on to a cache in front.')]
