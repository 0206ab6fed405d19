"""Purges of caches in front, by tag: for `FastAPICache(purge=...)`, over httpx (`fastapi-caching-route[purge]`).

Knows the APIs of Fastly, Cloudflare, Varnish and Souin; knows neither stores nor requests. No text of an error has a
token in it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

from typing_extensions import Doc

from fastapi_caching_route.errors import CacheError, ConfigurationError

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 5.0


class PurgeError(CacheError):
    """A cache in front has rejected a purge, or has not responded."""


@dataclass(frozen=True, slots=True)
class PurgeRequest:
    """What a cache in front has to delete."""

    tags: Annotated[tuple[str, ...], Doc('Tags, as they are in the header of `surrogate_keys`.')]
    paths: Annotated[tuple[str, ...], Doc('Paths that were invalidated. Their tags are among the tags.')] = ()
    soft: Annotated[bool, Doc('Whether the entries only become stale.')] = False
    everything: Annotated[bool, Doc('Whether all entries were invalidated. Then the only tag is `all`.')] = False


Purge = Callable[[PurgeRequest], Awaitable[object]]
"""Purges caches in front. If it raises, it is called again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FastlyPurge:
    """Purge a service of Fastly by surrogate keys, 256 at a time; softly if the invalidation is soft."""

    header: ClassVar[str] = 'Surrogate-Key'

    service_id: str
    token: str = field(repr=False)
    api: str = 'https://api.fastly.com'

    async def __call__(self, request: PurgeRequest) -> None:
        """Send the purge.

        Raises:
            PurgeError: it was not taken.

        """
        headers = {'fastly-key': self.token, 'accept': 'application/json'}
        if request.soft:
            headers['fastly-soft-purge'] = '1'
        async with _client() as client:
            for tags in _by(256, request.tags):
                url = f'{self.api}/service/{self.service_id}/purge'
                await _send(client, 'POST', url, headers, {'surrogate_keys': tags})


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudflarePurge:
    """Purge a zone of Cloudflare by cache tags, 30 at a time. Cloudflare has no soft purge, so all of them are hard."""

    header: ClassVar[str] = 'Cache-Tag'

    zone_id: str
    token: str = field(repr=False)
    api: str = 'https://api.cloudflare.com/client/v4'

    async def __call__(self, request: PurgeRequest) -> None:
        """Send the purge.

        Raises:
            PurgeError: it was not taken.

        """
        headers = {'authorization': f'Bearer {self.token}'}
        async with _client() as client:
            for tags in _by(30, request.tags):
                await _send(client, 'POST', f'{self.api}/zones/{self.zone_id}/purge_cache', headers, {'tags': tags})


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

    async def __call__(self, request: PurgeRequest) -> None:
        """Send the purge.

        Raises:
            PurgeError: a server has not taken it.

        """
        name = 'xkey-softpurge' if request.soft else 'xkey-purge'
        async with _client() as client:
            for tags in _by(100, request.tags):
                await _to_each(client, self.urls, {**self.headers, name: ' '.join(tags)})


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

    async def __call__(self, request: PurgeRequest) -> None:
        """Send the purge.

        Raises:
            PurgeError: a server has not taken it.

        """
        async with _client() as client:
            for tags in _by(100, request.tags):
                await _to_each(client, self.urls, {**self.headers, 'surrogate-key': ', '.join(tags)})


def _by(size: int, tags: Sequence[str]) -> list[list[str]]:
    return [list(tags[at : at + size]) for at in range(0, len(tags), size)]


def _client() -> 'httpx.AsyncClient':
    try:
        import httpx  # noqa: PLC0415, an extra
    except ImportError:
        msg = 'purges in front need httpx: install the extra `purge` of fastapi-caching-route'
        raise ConfigurationError(msg) from None
    return httpx.AsyncClient(timeout=TIMEOUT_SECONDS)


async def _to_each(client: 'httpx.AsyncClient', urls: Sequence[str], headers: Mapping[str, str]) -> None:
    """Ask all servers, also if one of them fails."""
    failed: list[PurgeError] = []
    for url in urls:
        try:
            await _send(client, 'PURGE', url, headers)
        except PurgeError as error:  # noqa: PERF203, few servers
            failed.append(error)
    if failed:
        raise PurgeError('; '.join(map(str, failed)))


async def _send(
    client: 'httpx.AsyncClient',
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: Mapping[str, object] | None = None,
) -> None:
    import httpx  # noqa: PLC0415, an extra

    host = ''
    try:
        place = httpx.URL(url)
        host, auth = place.host, (place.username, place.password) if place.userinfo else None
        # httpx logs the URL of a request with its password.
        place = place.copy_with(userinfo=b'')
        answer = await client.request(method, place, headers=headers, json=body, auth=auth)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        msg = f'{host}: {type(error).__name__}'
        raise PurgeError(msg) from None  # its text may have a header in it
    if not answer.is_success:
        msg = f'{host} returned {answer.status_code}'
        raise PurgeError(msg)
