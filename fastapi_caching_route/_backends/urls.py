"""URLs of stores: what they consist of, their options, and the clients of redis-py that they describe.

redis-py itself reads user names, passwords, hosts and databases. This module adds the schemes that redis-py does not
know (Sentinel, Cluster, Valkey) and checks the options. A URL may contain a password, and a password with special
characters may be parsed as something else. So an error message contains the scheme and the options, and nothing else of
the URL.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from inspect import signature
from math import inf
from typing import Any, NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit

from fastapi_caching_route.errors import ConfigurationError

REDIS_SCHEMES = (
    *('redis', 'rediss', 'unix', 'valkey', 'valkeys', 'redis+sentinel', 'rediss+sentinel', 'redis+cluster'),
    *('rediss+cluster', 'valkey+sentinel', 'valkeys+sentinel', 'valkey+cluster', 'valkeys+cluster'),
)
"""The double s means TLS, as in https."""

REDIS_PORT, SENTINEL_PORT = 6379, 26379

INSTALL_REDIS = 'redis-py is not installed: install the extra `redis` of fastapi-caching-route'

ENCODE_IT = 'in a user name or password, write /, ?, #, @, : and [ percent-encoded, like %2F for /'

_SCHEME = re.compile(r'([A-Za-z][A-Za-z+]*)://')

Parser = Callable[[str], object]
Parsers = Mapping[str, Parser]


@dataclass(frozen=True, slots=True)
class StoreURL:
    """The parts of a URL. Has no credentials in its repr."""

    scheme: str
    netloc: str = field(repr=False)
    """Credentials and hosts."""
    path: str = field(repr=False)
    options: Mapping[str, str] = field(repr=False)

    @property
    def userinfo(self) -> str:
        """What stands before the hosts, with its `@`."""
        before, at, _ = self.netloc.rpartition('@')
        return before + at

    @property
    def hosts(self) -> list[str]:
        """Host and port, one or several."""
        return [it for it in self.netloc.rpartition('@')[2].split(',') if it]

    @property
    def decoded_path(self) -> str:
        """The path, without percent-encoding."""
        return unquote(self.path)

    def addresses(self, port: int) -> list[tuple[str, int]]:
        """The hosts, each with its port or else with this one.

        Raises:
            ConfigurationError: a port is not a number.

        """
        return [(host or 'localhost', at or port) for host, at in map(self._address, self.hosts)]

    def _address(self, host: str) -> tuple[str | None, int | None]:
        try:
            parts = urlsplit(f'//{host}')
            found = parts.hostname, parts.port
        except ValueError:  # its text may contain a part of the password
            self.refuse(f'a port must be a number from 1 to 65535, and {ENCODE_IT}')
        return found

    def refuse(self, why: str) -> NoReturn:
        """Raise an error for this URL; it contains the scheme and no other part of the URL.

        Raises:
            ConfigurationError: always.

        """
        msg = f'the URL {self.scheme}://... of the cache backend cannot be used: {why}'
        raise ConfigurationError(msg) from None


def split(url: str) -> StoreURL:
    """The parts of the URL of a store.

    Raises:
        ConfigurationError: it is not a URL, or a user name or password is not percent-encoded.

    """
    scheme = _SCHEME.match(url)
    try:
        parts = urlsplit(url)
    except ValueError:  # its text contains the URL
        parts = None
    if scheme is None or parts is None:
        msg = f'the URL of the cache backend must be like redis://10.0.0.1:6379/0; {ENCODE_IT}'
        raise ConfigurationError(msg)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    split_url = StoreURL(scheme[1].lower(), parts.netloc, parts.path, dict(pairs))
    if parts.fragment or '@' in parts.path + parts.query:
        split_url.refuse(ENCODE_IT)
    if len(split_url.options) < len(pairs):
        split_url.refuse('an option is given twice')
    return split_url


def options_of(url: StoreURL, parsers: Parsers) -> dict[str, Any]:
    """The options of a URL, each converted to its type.

    Raises:
        ConfigurationError: one is unknown, or has a wrong value.

    """
    parsed = {}
    for name, text in url.options.items():
        if name not in parsers:
            url.refuse(f'option {name!r} is unknown; it takes {", ".join(sorted({*parsers, *OF_A_BACKEND}))}')
        try:
            parsed[name] = parsers[name](text)
        except ValueError as error:
            url.refuse(f'{name} must be {error}, got {text!r}')
    return parsed


def whole(text: str) -> int:
    """A number from 0 on, without a fraction."""
    if not (text.isascii() and text.isdigit()):
        msg = 'a whole number'
        raise ValueError(msg)
    return int(text)


def count(text: str) -> int:
    """A number from 1 on, without a fraction."""
    if not (text.isascii() and text.isdigit() and int(text)):
        msg = 'a whole number from 1 on'
        raise ValueError(msg)
    return int(text)


def seconds(text: str) -> float:
    """A finite number of seconds from 0 on."""
    try:
        span = float(text)
    except ValueError:
        span = -1
    if not 0 <= span < inf:
        msg = 'a number of seconds'
        raise ValueError(msg)
    return span


def flag(text: str) -> bool:
    """True or False."""
    if text.lower() not in ('true', 'false', '1', '0'):
        msg = 'true or false'
        raise ValueError(msg)
    return text.lower() in ('true', '1')


def _verification(text: str) -> str:
    if text not in ('none', 'optional', 'required'):
        msg = 'none, optional or required'
        raise ValueError(msg)
    return text


OF_A_BACKEND: Parsers = {'namespace': str, 'ttl': seconds}
"""The options of every backend. All others are those of its client."""

OF_A_CONNECTION: Parsers = {
    'db': whole,
    'username': str,
    'password': str,
    'client_name': str,
    'socket_timeout': seconds,
    'socket_connect_timeout': seconds,
    'socket_keepalive': flag,
    'health_check_interval': whole,
    'ssl_ca_certs': str,
    'ssl_ca_path': str,
    'ssl_ca_data': str,
    'ssl_certfile': str,
    'ssl_keyfile': str,
    'ssl_password': str,
    'ssl_ciphers': str,
    'ssl_cert_reqs': _verification,
    'ssl_check_hostname': flag,
}
"""Those that this release of redis-py takes are accepted. `protocol` and retries are not, since the cache sets them."""

OF_A_POOL: Parsers = {'max_connections': count}
OF_SENTINEL: Parsers = {'min_other_sentinels': whole, 'sentinel_username': str, 'sentinel_password': str}
OF_A_CLUSTER: Parsers = {'max_connections': count, 'require_full_coverage': flag}


def redis_at(url: StoreURL) -> Any:
    """A client of redis-py for a URL with one of the `REDIS_SCHEMES`. It connects when it is used.

    Raises:
        ConfigurationError: the URL cannot be used, or redis-py is not installed. The message names the remedy.

    """
    if find_spec('redis') is None:
        url.refuse(INSTALL_REDIS)
    scheme, _, kind = url.scheme.replace('valkey', 'redis').partition('+')
    client = {'sentinel': _by_sentinel, 'cluster': _cluster}.get(kind, _single)
    return client(url, scheme)


def _single(url: StoreURL, scheme: str) -> Any:
    from redis.asyncio import Redis  # noqa: PLC0415, it is optional

    if scheme == 'unix' and (not url.path or url.hosts):
        url.refuse('it must have the path of a socket, like unix:///run/redis.sock?db=0')
    if len(url.addresses(0)) > 1:
        url.refuse(f'it has several hosts; for a cluster, use {scheme}+cluster://')
    if scheme != 'unix':
        _check_database(url, url.path)
    options = options_of(url, {**_connection_options(scheme), **OF_A_POOL})
    return Redis.from_url(f'{scheme}://{url.netloc}{url.path}', **options)


def _by_sentinel(url: StoreURL, scheme: str) -> Any:
    from redis.asyncio.sentinel import Sentinel  # noqa: PLC0415, it is optional

    service, _, database = url.decoded_path.strip('/').partition('/')
    if not service or not url.hosts:
        url.refuse(f'it must be like {url.scheme}://10.0.0.1:26379,10.0.0.2:26379/service/0')
    _check_database(url, database)
    options = options_of(url, {**_connection_options(scheme), **OF_A_POOL, **OF_SENTINEL})
    least = options.pop('min_other_sentinels', 0)
    user, password = options.pop('sentinel_username', None), options.pop('sentinel_password', None)
    tls = {name: it for name, it in options.items() if name.startswith('ssl_')}
    of_both = {name: it for name, it in options.items() if name.startswith('socket_')}
    if scheme == 'rediss':
        tls['ssl'] = True
    sentinels = {**of_both, **tls, 'username': user, 'password': password}
    new_sentinel: Any = Sentinel
    watching = new_sentinel(url.addresses(SENTINEL_PORT), least, sentinels)
    return watching.master_for(service, **{'db': int(database or 0), **_credentials(url), **options, **tls})


def _cluster(url: StoreURL, scheme: str) -> Any:
    from redis.asyncio import RedisCluster  # noqa: PLC0415, it is optional
    from redis.asyncio.cluster import ClusterNode  # noqa: PLC0415, it is optional

    if not url.hosts or url.path not in ('', '/', '/0'):
        url.refuse(f'it must be like {url.scheme}://10.0.0.1:6379,10.0.0.2:6379; a cluster has only database 0')
    taken = settings_of(RedisCluster)
    parsers = {**_connection_options(scheme), **OF_A_CLUSTER}
    options = options_of(url, {name: it for name, it in parsers.items() if name in taken and name != 'db'})
    nodes = [ClusterNode(host, port) for host, port in url.addresses(REDIS_PORT)]
    return RedisCluster(startup_nodes=nodes, ssl=scheme == 'rediss', **{**_credentials(url), **options})


def _credentials(url: StoreURL) -> dict[str, Any]:
    """User name and password, as redis-py reads them."""
    from redis.asyncio.connection import parse_url  # noqa: PLC0415, it is optional

    read = parse_url(f'redis://{url.userinfo}host')
    return {name: str(it) for name, it in read.items() if name in ('username', 'password')}


def _check_database(url: StoreURL, path: str) -> None:
    if path.strip('/') and not path.strip('/').isdigit():
        url.refuse(f'the path must be the number of a database, like /0; {ENCODE_IT}')


def _connection_options(scheme: str) -> dict[str, Parser]:
    """The options of a connection that this release of redis-py knows."""
    from redis.asyncio import connection  # noqa: PLC0415, it is optional

    kind = {
        'redis': connection.Connection,
        'rediss': connection.SSLConnection,
        'unix': connection.UnixDomainSocketConnection,
    }[scheme]
    taken = settings_of(kind)
    return {name: it for name, it in OF_A_CONNECTION.items() if name in taken}


def settings_of(taking: type) -> set[str]:
    """The parameters of a class and its bases."""
    inits = [vars(it)['__init__'] for it in taking.__mro__ if '__init__' in vars(it) and it is not object]
    return {name for init in inits for name in signature(init).parameters}
