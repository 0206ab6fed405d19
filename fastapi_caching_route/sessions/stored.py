"""What is stored of a session, of the sessions of a user, and of a state: JSON, and never an id that opens one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Struct
from typing_extensions import Doc

T = TypeVar('T')

MAX_BYTES = 256 * 1024
"""The most bytes of a record: a session is read with each request."""

MAX_DEPTH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionUser:
    """The user of a session."""

    id: str
    name: str = ''
    roles: Annotated[tuple[str, ...], Doc('For `sessions.role(...)`, and for pages that all of one role share.')] = ()
    extra: Annotated[Mapping[str, Any], Doc('More about the user: JSON values.')] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the id, and take roles from any collection."""
        if not isinstance(self.id, str) or not self.id:
            msg = f'the id of a user must be a str that is not empty, got {self.id!r}'
            raise TypeError(msg)
        if isinstance(self.roles, str):
            msg = f'roles must be a collection of str, got {self.roles!r}'
            raise TypeError(msg)
        object.__setattr__(self, 'roles', tuple(sorted(set(self.roles))))
        object.__setattr__(self, 'extra', dict(self.extra))


@dataclass(frozen=True, slots=True)
class Flash:
    """A message that one request leaves for the next one that asks."""

    message: str
    category: str = 'info'


class StoredSession(Struct, frozen=True, omit_defaults=True):
    """The record of a session. Moments are in seconds since the epoch."""

    created_at: float
    ends_at: float
    """When it ends, however it is used."""
    idle_at: float
    """When it ends if it is not used."""
    renewed_at: float
    user: SessionUser | None = None
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    flashes: list[Flash] = msgspec.field(default_factory=list)
    agent: str | None = None
    """A digest of the user agent that it is bound to."""
    address: str | None = None
    """A digest of the network that it is bound to."""
    moved: bool = False
    """Whether it has another id by now, so that nobody may use it under this one."""

    def content(self) -> bytes:
        """What pages can show of it; equal for sessions that no page tells apart, by their order neither."""
        user = self.user
        of_user = None if user is None else (user.id, user.name, user.roles, user.extra)
        return msgspec.json.encode((of_user, self.data, [(it.message, it.category) for it in self.flashes]))


class StoredUser(Struct, frozen=True, omit_defaults=True):
    """The record of a user: the sessions that count, by their handles, each with the moment at which it ends.

    A session of a user that is not in here is none, whatever else is stored. So all of them end in one step.
    """

    sessions: dict[str, float] = msgspec.field(default_factory=dict)


class StoredState(Struct, frozen=True, omit_defaults=True):
    """The record of a state."""

    ends_at: float
    data: Any = None
    browser: str | None = None
    """A digest of the cookie of the browser that it is for."""
    is_used: bool = False


def encoded(record: object) -> bytes:
    """The bytes of a record.

    Raises:
        ValueError: it is too large.

    """
    raw = msgspec.json.encode(record)
    if len(raw) > MAX_BYTES:
        msg = f'{len(raw)} bytes are too many for a session or a state, which may have {MAX_BYTES}'
        raise ValueError(msg)
    return raw


def decoded(raw: bytes | None, kind: type[T]) -> T | None:
    """The record of these bytes; None if there is none, or if they are of something else."""
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.MsgspecError:
        return None


def checked(value: Any, depth: int = 0) -> Any:
    """A copy of a value that JSON can hold, and that comes back as it is.

    Raises:
        TypeError: it cannot.

    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        if not math.isfinite(value) or abs(value) >= 2**63:
            msg = f'a session holds finite numbers below 2**63, got {value!r}'
            raise TypeError(msg)
        return value
    if depth < MAX_DEPTH:
        if isinstance(value, list | tuple):
            return [checked(it, depth + 1) for it in value]
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return {key: checked(it, depth + 1) for key, it in value.items()}
    holds = 'a session holds JSON: str, numbers, bool, None, and lists and dicts with str keys of them'
    msg = f'{holds}, got {type(value).__qualname__}'
    raise TypeError(msg)
