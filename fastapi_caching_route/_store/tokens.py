"""The protocol of tokens that processes share, which locks are made of. Knows no stores."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar('T')


class Tokens(Protocol):
    """Tokens in a store that several processes share: what locks are made of."""

    async def add(self, key: str, token: str, span: float, *, mends: bool = False) -> bool | None:
        """Store a token for `span` seconds if there is none. Return whether it was stored; None if the store fails.

        With `mends`, what is no token is replaced, and a token that is there for longer than that: for locks that all
        have this span, and that only save work.
        """
        ...

    async def release(self, key: str, token: str) -> bool | None:
        """Delete the token under a key, if it is this one. Return whether it was; None if the store fails."""
        ...

    async def holds(self, key: str, token: str) -> bool | None:
        """Whether this token is under a key; None if the store fails."""
        ...

    def go_on(self, work: Coroutine[Any, Any, T]) -> 'asyncio.Task[T]':
        """Start a background task that runs to its end, even if nobody waits for it."""
        ...
