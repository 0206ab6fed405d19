"""Purges of caches in front, by tag: for `FastAPICache(purge=...)`, over httpx (`fastapi-caching-route[purge]`).

Knows the APIs of Fastly, Cloudflare, Varnish and Souin; knows neither stores nor requests. No text of an error has a
token in it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from weakref import WeakKeyDictionary

from typing_extensions import Doc

from fastapi_caching_route.errors import CacheError, ConfigurationError

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 5.0

HEADER_BYTES = 4000
"""The most bytes of tags in one header: many servers take lines of 8 kB, with all that is in front."""


class PurgeError(CacheError):
    """A cache in front has rejected a purge, or has not responded."""


@dataclass(frozen=True, slots=True)
class PurgeRequest:
    """The entries that a cache in front has to delete."""

    tags: Annotated[tuple[str, ...], Doc('Tags, as they are in the header of `surrogate_keys`.')]
    paths: Annotated[tuple[str, ...], Doc('Paths that were invalidated. Their tags are among the tags.')] = ()
    soft: Annotated[bool, Doc('Whether the entries only become stale.')] = False
    everything: Annotated[bool, Doc('Whether all entries were invalidated. Then the only tag is `all`.')] = False


Purge = Callable[[PurgeRequest], Awaitable[object]]
"""Purges caches in front. If it raises, it is called again later."""


class _Clients:
    """Sends purges over httpx: one client for each event loop, which all share one TLS context.

    To import httpx and to read the certificates takes a while, so that is done when a purge is built.
    """

    def __init__(self) -> None:
        """Import httpx.

        Raises:
            ConfigurationError: it is not installed.

        """
        try:
            import httpx  # noqa: PLC0415, an extra
        except ImportError:
            msg = 'purges in front need httpx: install the extra `purge` of fastapi-caching-route'
            raise ConfigurationError(msg) from None
        self._httpx = httpx
        self._context = httpx.create_ssl_context()
        self._of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()

    def _client(self) -> 'httpx.AsyncClient':
        loop = asyncio.get_running_loop()
        client = self._of_loops.get(loop)
        if client is None:
            # A connection that is kept would be left open where its event loop ends.
            closing = self._httpx.Limits(max_keepalive_connections=0)
            client = self._httpx.AsyncClient(timeout=TIMEOUT_SECONDS, limits=closing, verify=self._context)
            self._of_loops[loop] = client
        return client

    async def to_each(self, urls: Sequence[str], headers: Sequence[Mapping[str, str]]) -> None:
        """Ask all servers at the same time: one that hangs or fails holds up no other."""

        async def ask(url: str) -> None:
            for one in headers:
                await self.send('PURGE', url, one)

        results = await asyncio.gather(*map(ask, urls), return_exceptions=True)
        other = next((it for it in results if it is not None and not isinstance(it, PurgeError)), None)
        if other is not None:
            raise other
        failed = [str(it) for it in results if it is not None]
        if failed:
            raise PurgeError('; '.join(failed))

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Mapping[str, object] | None = None
    ) -> None:
        """Send one request.

        Raises:
            PurgeError: it was not taken.

        """
        httpx, host = self._httpx, ''
        try:
            place = httpx.URL(url)
            host, auth = place.host, (place.username, place.password) if place.userinfo else None
            # httpx logs the URL of a request with its password.
            place = place.copy_with(userinfo=b'')
            answer = await self._client().request(method, place, headers=headers, json=body, auth=auth)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            msg = f'{host}: {type(error).__name__}'
            raise PurgeError(msg) from None  # its text may have a header in it
        if not answer.is_success:
            msg = f'{host} returned {answer.status_code}'
            raise PurgeError(msg)


_PRIVATE: Any = field(default_factory=_Clients, init=False, repr=False, compare=False)
"""The clients of a purge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FastlyPurge:
    """Purge a service of Fastly by surrogate keys, 256 at a time; softly if the invalidation is soft."""

    header: ClassVar[str] = 'Surrogate-Key'

    service_id: str
    token: str = field(repr=False)
    api: str = 'https://api.fastly.com'
    _clients: '_Clients' = _PRIVATE

    async def __call__(self, request: PurgeRequest) -> None:
        """Send the purge.

        Raises:
            PurgeError: it was not taken.

        """
        headers = {'fastly-key': self.token, 'accept': 'application/json'}
        if request.soft:
            headers['fastly-soft-purge'] = '1'
        url = f'{self.api}/service/{self.service_id}/purge'
        for tags in _by(256, request.tags):
            await self._clients.send('POST', url, headers, {'surrogate_keys': tags})


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudflarePurge:
    """Purge a zone of Cloudflare by cache tags, 30 at a time. Cloudflare has no soft purge, so all of them are hard."""

    header: ClassVar[str] = 'Cache-Tag'

    zone_id: str
    token: str = field(repr=False)
    api: str = 'https://api.cloudflare.com/client/v4'
    _clients: '_Clients' = _PRIVATE

    async def __call__(self, request: PurgeRequest) -> None:
        """Send the purge.

        Raises:
            PurgeError: it was not taken.

        """
        headers = {'authorization': f'Bearer {self.token}'}
        for tags in _by(30, request.tags):
            await self._clients.send('POST', f'{self.api}/zones/{self.zone_id}/purge_cache', headers, {'tags': tags})


@dataclass(frozen=True, slots=True, kw_only=True)
class VarnishPurge:
    """Purge Varnish servers by vmod_xkey.

    A PURGE request has the tags in `xkey-purge` or `xkey-softpurge`, which your VCL gives to `xkey.purge()` and
    `xkey.softpurge()`.
    """

    header: ClassVar[str] = 'xkey'

    urls: Annotated[Sequence[str], Doc('One URL for each server.')] = field(repr=False)
    headers: Annotated[Mapping[str, str], Doc('Headers of each request, like `Host` or a secret.')] = field(
        default_factory=dict, repr=False
    )
    _clients: '_Clients' = _PRIVATE

    def __post_init__(self) -> None:
        """Check the URLs."""
        _check_no_query(self.urls)

    async def __call__(self, request: PurgeRequest) -> None:
        """Send the purge.

        Raises:
            PurgeError: a server has not taken it.

        """
        name = 'xkey-softpurge' if request.soft else 'xkey-purge'
        lines = [' '.join(tags) for tags in _by(100, request.tags)]
        await self._clients.to_each(self.urls, [{**self.headers, name: line} for line in lines])


@dataclass(frozen=True, slots=True, kw_only=True)
class SouinPurge:
    """Purge Souin, also inside of Caddy or Traefik, by its API: a PURGE request with `Surrogate-Key`."""

    header: ClassVar[str] = 'Surrogate-Key'

    urls: Annotated[
        Sequence[str], Doc('The URL of the API of each server, like `http://10.0.0.1/souin-api/souin`.')
    ] = field(repr=False)
    headers: Annotated[Mapping[str, str], Doc('Headers of each request, like `Authorization`.')] = field(
        default_factory=dict, repr=False
    )
    _clients: '_Clients' = _PRIVATE

    def __post_init__(self) -> None:
        """Check the URLs."""
        _check_no_query(self.urls)

    async def __call__(self, request: PurgeRequest) -> None:
        """Send the purge.

        Raises:
            PurgeError: a server has not taken it.

        """
        lines = [', '.join(tags) for tags in _by(100, request.tags)]
        await self._clients.to_each(self.urls, [{**self.headers, 'surrogate-key': line} for line in lines])


def _by(size: int, tags: Sequence[str]) -> list[list[str]]:
    """The tags in batches of so many at most, each of which fits into a header."""
    batches: list[list[str]] = []
    room = 0
    for tag in tags:
        room -= len(tag) + 2  # and what separates two of them
        if not batches or len(batches[-1]) == size or room < 0:
            batches.append([])
            room = HEADER_BYTES - len(tag) - 2
        batches[-1].append(tag)
    return batches


def _check_no_query(urls: Sequence[str]) -> None:
    """Refuse what may be a secret.

    Raises:
        ConfigurationError: a URL has a query.

    """
    if any('?' in it for it in urls):
        msg = 'a URL for purges must have no query, because httpx logs it: send secrets in headers={...}'
        raise ConfigurationError(msg)
