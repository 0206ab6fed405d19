"""The keys of JSON Web Tokens, each with the only algorithm that it is for. What a token says decides nothing."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.sessions.config import SessionConfig, keys_of

SHORTEST_RSA = 2048
"""In bits (RFC 7518 section 3.3)."""

Load = Callable[[bytes], Any]


@dataclass(frozen=True, slots=True)
class JWTKey:
    """A key that verifies signatures of one algorithm."""

    algorithm: str
    verifying: Any = field(repr=False)


def jwt_keys_of(config: SessionConfig) -> tuple[Any, tuple[JWTKey, ...]]:
    """What signs, or None; and all keys whose tokens are accepted.

    Raises:
        ConfigurationError: a key is none, or of another algorithm, or what reads it is not installed.

    """
    if not config.is_signed_by_secret:
        return _pairs_of(config)
    secrets, shortest = keys_of(config.secrets), int(config.jwt_algorithm.removeprefix('HS')) // 8
    if any(len(secret) < shortest for secret in secrets):
        msg = f'for {config.jwt_algorithm}, secrets must have {shortest} bytes or more each'
        raise ConfigurationError(msg)
    return secrets[0], tuple(JWTKey(config.jwt_algorithm, secret) for secret in secrets)


def _pairs_of(config: SessionConfig) -> tuple[Any, tuple[JWTKey, ...]]:
    if find_spec('cryptography') is None:
        msg = f'{config.jwt_algorithm} needs cryptography: install fastapi-caching-route with the extra [jwt-keys]'
        raise ConfigurationError(msg)
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415, it is optional
        load_pem_private_key,
        load_pem_public_key,
    )

    own: list[Any] = []
    if config.jwt_private_key is not None:
        own = [_loaded('jwt_private_key', config.jwt_private_key, lambda raw: load_pem_private_key(raw, None))]
    given: Any = config.jwt_public_keys
    several = [given] if isinstance(given, str | bytes) else given
    public = [_loaded('jwt_public_keys', it, load_pem_public_key) for it in several]
    keys = tuple(JWTKey(_algorithm_of(it), it) for it in (*(it.public_key() for it in own), *public))
    if not keys:
        msg = f'{config.jwt_algorithm} needs jwt_private_key, or jwt_public_keys to read sessions only'
        raise ConfigurationError(msg)
    if own and keys[0].algorithm != config.jwt_algorithm:
        msg = f'jwt_algorithm is {config.jwt_algorithm}, and jwt_private_key is a key for {keys[0].algorithm}'
        raise ConfigurationError(msg)
    return own[0] if own else None, keys


def _loaded(option: str, text: object, load: Load) -> Any:
    raw = text.encode() if isinstance(text, str) else text
    try:
        if isinstance(raw, bytes):
            return load(raw)
        why = f'got an object of {type(raw).__qualname__}'
    except (ValueError, TypeError) as error:  # encrypted, or not of this kind
        why = str(error)
    msg = f'{option} must be PEM, a private key without a password or a public key: {why}'
    raise ConfigurationError(msg)


def _algorithm_of(public: Any) -> str:
    """The algorithm that a key is for, by its kind.

    Raises:
        ConfigurationError: it is for none of ours, or too short.

    """
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415, it is optional

    match public:
        case ed25519.Ed25519PublicKey():
            return 'EdDSA'
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1()):
            return 'ES256'
        case rsa.RSAPublicKey(key_size=size) if size >= SHORTEST_RSA:
            return 'RS256'
        case _:
            msg = f'a key must be RSA of {SHORTEST_RSA} bits or more, P-256 or Ed25519'
            raise ConfigurationError(msg)
