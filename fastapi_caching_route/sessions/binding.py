"""What a session may be bound to: the user agent, and the network of the client behind trusted proxies."""

from hashlib import sha256
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from starlette.requests import HTTPConnection

from fastapi_caching_route._http.fields import RawHeaders, lines
from fastapi_caching_route.sessions.config import AddressBinding, SessionConfig
from fastapi_caching_route.sessions.stored import StoredSession

UNKNOWN = 'unknown'


Bound = tuple[str | None, str | None]
"""Digests of the user agent and of the network of a client, of those that a session is bound to."""


def bound_to(config: SessionConfig, connection: HTTPConnection) -> Bound:
    """What a session of this client is bound to."""
    headers, peer, binding = connection.scope['headers'], connection.scope.get('client'), config.bind_address
    agent = _digest(b'\n'.join(lines(headers, b'user-agent'))) if config.bind_user_agent else None
    if binding is None:
        return agent, None
    address = client_address(headers, peer[0] if peer else None, binding)
    return agent, _digest(_network(address, binding).encode())


def wrong_client(record: StoredSession, bound: Bound) -> str | None:
    """What differs from the client for which a session was created; None if nothing does."""
    for what, stored, given in zip(('user-agent', 'address'), (record.agent, record.address), bound, strict=True):
        if stored is not None and given is not None and stored != given:
            return what
    return None


def client_address(headers: RawHeaders, peer: str | None, binding: AddressBinding) -> str:
    """The address of a client: that of the connection, or what a trusted proxy says of it.

    `X-Forwarded-For` is read from the right, where our own proxies have written: what stands further left comes from
    the client, which may write what it likes.
    """
    trusted = [ip_network(it) for it in binding.trusted_proxies]
    said = b','.join(lines(headers, b'x-forwarded-for')).decode('latin-1')
    forwarded = [it.strip() for it in said.split(',')] if said else []
    address = _address(peer or '')
    while address is not None and forwarded and any(address in network for network in trusted):
        address = _address(forwarded.pop())
    return UNKNOWN if address is None else str(address)


def _address(text: str) -> Any | None:
    """An address, with or without a port; None if it is none. One of IPv4 in the form of IPv6 is one of IPv4."""
    text = text.strip('"')
    if text.startswith('['):
        text = text[1:].partition(']')[0]
    elif text.count(':') == 1:
        text = text.partition(':')[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _network(address: str, binding: AddressBinding) -> str:
    if address == UNKNOWN:
        return UNKNOWN
    prefix = binding.ipv6_prefix if ':' in address else binding.ipv4_prefix
    return str(ip_network(f'{address}/{prefix}', strict=False))


def _digest(text: bytes) -> str:
    return sha256(text).hexdigest()
