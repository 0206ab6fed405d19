"""`SessionConfig`: how long sessions last, what their tokens are, and how these travel. Checked when it is built."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Annotated, Any, Literal, get_args

from typing_extensions import Doc

from fastapi_caching_route._core.checks import check_flag, check_option, check_positive
from fastapi_caching_route.errors import ConfigurationError

Transport = Literal['cookie', 'header', 'bearer']
"""Where a token is looked for."""

OF_KEY_PAIRS = ('RS256', 'ES256', 'EdDSA')
ALGORITHMS = ('HS256', 'HS384', 'HS512', *OF_KEY_PAIRS)
"""Those of JSON Web Tokens."""

_NEEDS_ALGORITHM = "is for token='jwt' with jwt_algorithm='RS256', 'ES256' or 'EdDSA'"

SHORTEST_SECRET = 32
"""In bytes: as long as the digest of HMAC-SHA256."""

_IS_PEM = b'-----BEGIN '

_COOKIE_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressBinding:
    """Bind a session to the address of its client: a request from another network does not get it.

    Raises:
        ConfigurationError: a prefix or a network is not valid.

    """

    ipv4_prefix: Annotated[int, Doc('How many bits of an IPv4 address count: 32 are all of it, 24 its network.')] = 32
    ipv6_prefix: Annotated[int, Doc('The same for IPv6, where a client often has all addresses of a /64.')] = 64
    trusted_proxies: Annotated[
        Sequence[str],
        Doc(
            'Networks of your proxies, like `10.0.0.0/8`. Only what these have appended to `X-Forwarded-For` is '
            'believed: it is read from the right, up to the first address that is not of a trusted proxy.'
        ),
    ] = ()

    def __post_init__(self) -> None:
        """Check the values."""
        for name, prefix, most in (('ipv4_prefix', self.ipv4_prefix, 32), ('ipv6_prefix', self.ipv6_prefix, 128)):
            is_prefix = isinstance(prefix, int) and not isinstance(prefix, bool) and 0 < prefix <= most
            check_option(name, prefix, holds=is_prefix, wanted=f'must be an integer from 1 to {most}')
        proxies: Any = self.trusted_proxies
        is_list = not isinstance(proxies, str) and all(isinstance(it, str) for it in proxies)
        check_option('trusted_proxies', proxies, holds=is_list, wanted="must be a list like ['10.0.0.0/8']")
        try:
            _ = [ip_network(it) for it in proxies]
        except ValueError as error:
            msg = f'trusted_proxies must be networks like 10.0.0.0/8 or fd00::/8: {error}'
            raise ConfigurationError(msg) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """The options of sessions. One object for the whole app.

    Raises:
        ConfigurationError: an option is not valid; the message names it.

    """

    secrets: Annotated[
        str | bytes | Sequence[str | bytes],
        Doc(
            'The secrets that sign tokens, each of 32 bytes or more. The first one signs, and all are accepted, so '
            'that you can rotate them. '
            'Not for the algorithms that have a private key.'
        ),
    ] = field(default=(), repr=False)
    lifetime: Annotated[float, Doc('Seconds after which a session ends, even if it is used.')] = 7 * 86400.0
    idle: Annotated[
        float | None, Doc('Seconds after which a session ends if it is not used. None: only `lifetime` counts.')
    ] = 86400.0
    renewal: Annotated[
        float,
        Doc('The fraction of `idle` after which a request renews the session. Before that, nothing is written.'),
    ] = 0.5
    token: Annotated[
        Literal['opaque', 'jwt'],
        Doc("`'opaque'`: a random id, signed. `'jwt'`: a JSON Web Token. The session is looked up for both."),
    ] = 'opaque'  # noqa: S105, no password
    jwt_algorithm: Annotated[
        Literal['HS256', 'HS384', 'HS512', 'RS256', 'ES256', 'EdDSA'],
        Doc('The algorithm that signs. The algorithm that a token names is ignored.'),
    ] = 'HS256'
    jwt_private_key: Annotated[
        str | bytes | None,
        Doc('For `RS256`, `ES256` and `EdDSA`: the key that signs, as PEM. None: sessions can only be read.'),
    ] = field(default=None, repr=False)
    jwt_public_keys: Annotated[
        Sequence[str | bytes],
        Doc('More keys whose tokens are accepted, as PEM; each for the algorithm of its kind. The own one is known.'),
    ] = ()
    jwt_audience: Annotated[str | None, Doc('The required `aud` of tokens.')] = None
    jwt_issuer: Annotated[str | None, Doc('The required `iss` of tokens.')] = None
    jwt_leeway: Annotated[float, Doc('Seconds by which the clocks of servers may differ.')] = 0.0
    transports: Annotated[
        Sequence[Transport],
        Doc(
            "Where a token is looked for, in this order: `'cookie'`, `'header'` (the header called `header`), "
            "`'bearer'` (`Authorization: Bearer`). The first one in a request counts, valid or not."
        ),
    ] = ('cookie',)
    cookie: Annotated[str, Doc('The name of the cookie. With `secure`, it is sent as `__Host-` and this name.')] = (
        'session'
    )
    secure: Annotated[bool, Doc('False: the cookie is also sent over plain HTTP, without `__Host-`. For tests.')] = True
    same_site: Annotated[Literal['lax', 'strict', 'none'], Doc('The `SameSite` of the cookie.')] = 'lax'
    persistent: Annotated[
        bool, Doc('Whether the browser keeps the cookie after it is closed, for the rest of the lifetime.')
    ] = True
    header: Annotated[str, Doc("The request header of the transport `'header'`.")] = 'X-Session-Token'
    bind_user_agent: Annotated[
        bool, Doc('Whether a session is only accepted with the `User-Agent` that it was created with.')
    ] = False
    bind_address: Annotated[AddressBinding | None, Doc('The network to which a session is bound. None: not bound.')] = (
        None
    )
    most_per_user: Annotated[
        int, Doc('The number of sessions that a user may have. A further one ends the session with the earliest end.')
    ] = 100

    def __post_init__(self) -> None:
        """Check every option."""
        if self.is_signed_by_secret:
            keys_of(self.secrets)
        for option in ('lifetime', 'renewal', 'most_per_user'):
            check_positive(option, getattr(self, option))
        if self.idle is not None:
            check_positive('idle', self.idle)
        transports = tuple(self.transports)
        known = set(get_args(Transport))
        for option, holds, wanted in (
            ('renewal', self.renewal <= 1, 'must be a fraction from 0 to 1'),
            ('most_per_user', isinstance(self.most_per_user, int), 'must be an integer'),
            ('token', self.token in ('opaque', 'jwt'), "must be 'opaque' or 'jwt'"),
            ('jwt_algorithm', self.jwt_algorithm in ALGORITHMS, f'must be one of {", ".join(ALGORITHMS)}'),
            ('jwt_algorithm', self.token == 'jwt' or self.is_signed_by_secret, "needs token='jwt'"),  # noqa: S105, no password
            ('secrets', self.is_signed_by_secret or not self.secrets, f'are not for {self.jwt_algorithm}: omit them'),
            ('jwt_private_key', not (self.is_signed_by_secret and self.jwt_private_key), _NEEDS_ALGORITHM),
            ('jwt_public_keys', not (self.is_signed_by_secret and self.jwt_public_keys), _NEEDS_ALGORITHM),
            ('jwt_leeway', 0 <= self.jwt_leeway <= 300, 'must be seconds from 0 to 300'),
            ('transports', bool(transports) and known.issuperset(transports), f'must be some of {sorted(known)}'),
            ('cookie', _is_cookie_name(self.cookie), 'must be the name of a cookie, without a prefix'),
            ('same_site', self.same_site in ('lax', 'strict', 'none'), "must be 'lax', 'strict' or 'none'"),
            ('same_site', self.secure or self.same_site != 'none', 'must not be none without secure: it is not kept'),
            ('header', _COOKIE_NAME.fullmatch(str(self.header)) is not None, 'must be the name of a header'),
            ('bind_address', isinstance(self.bind_address, AddressBinding | None), 'must be AddressBinding(...)'),
        ):
            check_option(option, getattr(self, option), holds=holds, wanted=wanted)
        for option in ('secure', 'persistent', 'bind_user_agent'):
            check_flag(option, getattr(self, option))

    @property
    def is_signed_by_secret(self) -> bool:
        """Whether secrets sign the tokens, and not a private key."""
        return self.jwt_algorithm not in OF_KEY_PAIRS

    @property
    def cookie_name(self) -> str:
        """The name of the cookie as it is sent."""
        return f'__Host-{self.cookie}' if self.secure else self.cookie

    @property
    def looked_at(self) -> tuple[bytes, ...]:
        """The request headers in which a token may be."""
        names = {'cookie': 'cookie', 'header': self.header.lower(), 'bearer': 'authorization'}
        return tuple(names[it].encode('ascii') for it in self.transports)

    @property
    def challenge(self) -> str:
        """What a 401 asks for."""
        return 'Bearer' if 'bearer' in self.transports else 'Session'


def _is_cookie_name(name: object) -> bool:
    return isinstance(name, str) and _COOKIE_NAME.fullmatch(name) is not None and not name.startswith('__')


def keys_of(secrets: object) -> tuple[bytes, ...]:
    """The secrets as bytes, the newest first.

    Raises:
        ConfigurationError: there is none, or one is too short, or it is a key of another kind.

    """
    several: Any = [secrets] if isinstance(secrets, str | bytes) or not isinstance(secrets, Sequence) else secrets
    keys = tuple(it.encode() if isinstance(it, str) else it for it in several)
    if not keys or not all(isinstance(it, bytes) and len(it) >= SHORTEST_SECRET for it in keys):
        msg = f'secrets must be one secret, or a list, of {SHORTEST_SECRET} bytes or more each: secrets.token_hex(32)'
        raise ConfigurationError(msg)
    if any(_IS_PEM in it for it in keys):
        msg = 'secrets must not be PEM keys: jwt_private_key and jwt_public_keys take these'
        raise ConfigurationError(msg)
    return keys
