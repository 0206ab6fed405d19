"""Session tokens: what a client sends to get its session.

A token is an id of 256 random bits, signed; or a JSON Web Token with such an id. Signatures are compared in constant
time, by itsdangerous and PyJWT. An id is looked up by its digest, so the time of a look-up says nothing about ids that
are stored. What a token says of itself decides nothing: the algorithm is ours.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from importlib.util import find_spec
from secrets import token_urlsafe
from typing import Any, Protocol

from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.sessions.config import SessionConfig, keys_of
from fastapi_caching_route.sessions.jwt_keys import JWTKey, jwt_keys_of
from fastapi_caching_route.sessions.transport import LONGEST

ID_BYTES = 32

_ID = re.compile(r'[A-Za-z0-9_-]{43}')
_SIGNED = re.compile(r'([A-Za-z0-9_-]{43})(?:~([0-9a-f]{32}))?')


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a token says: an id, and whose it is."""

    id: str = field(repr=False)
    user_slot: str | None
    """A digest of the id of the user; None for an anonymous session."""

    @property
    def handle(self) -> str:
        """Names the session without opening it: a digest of the id."""
        return handle_of(self.id)


def new_id() -> str:
    """256 random bits."""
    return token_urlsafe(ID_BYTES)


def is_id(text: str) -> bool:
    """Whether a text has the form of an id."""
    return _ID.fullmatch(text) is not None


def is_canonical(text: str) -> bool:
    """Whether this is the only text that base64 has for its bytes (RFC 4648 section 3.5 and 5, without padding).

    Decoders overlook bits that are left over, and characters that do not belong there.
    """
    try:
        return urlsafe_b64encode(urlsafe_b64decode(text + '=' * (-len(text) % 4))).rstrip(b'=') == text.encode()
    except ValueError:
        return False


def handle_of(text: str) -> str:
    """A digest of an id, under which its record is stored."""
    return sha256(text.encode()).hexdigest()


def slot_of(user: str) -> str:
    """A digest of the id of a user, under which the sessions of the user are listed."""
    return blake2b(user.encode(), digest_size=16).hexdigest()


class SessionTokens(Protocol):
    """Makes tokens, and reads them."""

    def made(self, ticket: Ticket, user: str | None, created_at: float, ends_at: float) -> str:
        """The token of a session."""
        ...

    def read(self, token: str) -> Ticket | None:
        """What a token says; None if it is not one of ours."""
        ...

    def check_signing(self) -> None:
        """See that tokens can be made here.

        Raises:
            ConfigurationError: there are only keys to read them.

        """
        ...


def tokens_of(config: SessionConfig) -> SessionTokens:
    """The tokens of this configuration.

    Raises:
        ConfigurationError: what signs them is not installed.

    """
    module, extra = ('jwt', 'jwt') if config.token == 'jwt' else ('itsdangerous', 'sessions')  # noqa: S105, no password
    if find_spec(module) is None:
        msg = f'the tokens of sessions need {module}: install fastapi-caching-route with the extra [{extra}]'
        raise ConfigurationError(msg)
    return JWTTokens(config) if config.token == 'jwt' else OpaqueTokens(keys_of(config.secrets))  # noqa: S105


class OpaqueTokens:
    """Random ids, signed with HMAC-SHA256 by itsdangerous."""

    __slots__ = ('_signer',)

    def __init__(self, keys: Sequence[bytes]) -> None:
        """The first key signs; all are accepted."""
        from itsdangerous import Signer  # noqa: PLC0415, it is optional

        self._signer = Signer(
            [*reversed(keys)], salt=b'fastapi-caching-route.sessions', key_derivation='hmac', digest_method=sha256
        )

    def made(self, ticket: Ticket, user: str | None, created_at: float, ends_at: float) -> str:  # noqa: ARG002, see `SessionTokens`
        """See `SessionTokens`."""
        said = ticket.id if ticket.user_slot is None else f'{ticket.id}~{ticket.user_slot}'
        return self._signer.sign(said.encode()).decode()

    def read(self, token: str) -> Ticket | None:
        """See `SessionTokens`."""
        from itsdangerous import BadSignature  # noqa: PLC0415, it is optional

        if len(token) > LONGEST or not is_canonical(token.rpartition('.')[2]):
            return None
        try:
            said = self._signer.unsign(token.encode()).decode()
        except BadSignature:
            return None
        found = _SIGNED.fullmatch(said)
        return None if found is None else Ticket(found[1], found[2])

    def check_signing(self) -> None:
        """See `SessionTokens`: a secret does both."""


class JWTTokens:
    """JSON Web Tokens, signed with PyJWT: `sid` is the id, `sub` the user.

    An `ES256` signature has a twin that is as valid (RFC 8032 has none for `EdDSA`). Both name the same session.
    """

    __slots__ = ('_config', '_keys', '_signing')

    def __init__(self, config: SessionConfig) -> None:
        """The first key signs; all are accepted, each for its own algorithm only."""
        self._config = config
        self._signing, self._keys = jwt_keys_of(config)

    def made(self, ticket: Ticket, user: str | None, created_at: float, ends_at: float) -> str:
        """See `SessionTokens`."""
        import jwt  # noqa: PLC0415, it is optional

        config = self._config
        said = {'sub': user, 'aud': config.jwt_audience, 'iss': config.jwt_issuer}
        claims: dict[str, Any] = {'sid': ticket.id, 'iat': int(created_at), 'exp': int(ends_at) + 1}
        claims |= {name: value for name, value in said.items() if value is not None}
        return jwt.encode(claims, self._signing, algorithm=config.jwt_algorithm)

    def check_signing(self) -> None:
        """See `SessionTokens`."""
        if self._signing is None:
            msg = 'these sessions can only be read, because they have no key to sign with: give jwt_private_key'
            raise ConfigurationError(msg)

    def read(self, token: str) -> Ticket | None:
        """See `SessionTokens`."""
        import jwt  # noqa: PLC0415, it is optional

        signature = token.rpartition('.')[2]
        if len(token) > LONGEST or not is_canonical(signature):
            return None
        for key in self._keys:
            with suppress(jwt.InvalidTokenError):  # another key may have signed it
                return self._ticket(self._claims(token, key))
        return None

    def _claims(self, token: str, key: JWTKey) -> dict[str, Any]:
        import jwt  # noqa: PLC0415, it is optional

        config = self._config
        claims: dict[str, Any] = jwt.decode(
            token,
            key.verifying,
            algorithms=[key.algorithm],
            audience=config.jwt_audience,
            issuer=config.jwt_issuer,
            leeway=config.jwt_leeway,
            options={'require': ['exp', 'iat', 'sid']},
        )
        return claims

    def _ticket(self, claims: dict[str, Any]) -> Ticket | None:
        identifier, user = claims['sid'], claims.get('sub')
        if not isinstance(identifier, str) or not is_id(identifier) or not isinstance(user, str | None):
            return None
        return Ticket(identifier, None if user is None else slot_of(user))
