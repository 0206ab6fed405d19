"""`Keeper`: the life of sessions in a store. Knows records, tokens and clocks; knows nothing of FastAPI's dependencies.

The record of a session says whose it is and what is in it. The list of a user has the sessions that count. Both are
read in one round trip, since a token says in which list its session must be. Whatever changes a record has read it
before, and does so only if it is still the same (`swap`); otherwise it looks again. So two requests that change
different keys of a session at the same time lose neither. What a session holds when it gets another id is frozen first
(`moved`), so no change is lost on the way.

If a process dies in between, or a store loses something, a session has ended. None comes back.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf
from typing import get_args

import msgspec
from starlette.requests import HTTPConnection

from fastapi_caching_route._concurrency.observers import Observers
from fastapi_caching_route.sessions.binding import bound_to, wrong_client
from fastapi_caching_route.sessions.carrying import carried_in
from fastapi_caching_route.sessions.config import SessionConfig
from fastapi_caching_route.sessions.errors import SessionEndedError, SessionStoreError
from fastapi_caching_route.sessions.events import EventKind, SessionEvent
from fastapi_caching_route.sessions.live import LiveSession, Loaded
from fastapi_caching_route.sessions.places import Place
from fastapi_caching_route.sessions.stored import SessionUser, StoredSession, decoded, encoded
from fastapi_caching_route.sessions.tokens import SessionTokens, Ticket, new_id, slot_of, tokens_of
from fastapi_caching_route.sessions.transport import SeveralTokensError, token_of
from fastapi_caching_route.sessions.user_lists import MAX_ATTEMPTS, USER, UserLists, counts, give_way

logger: logging.Logger = logging.getLogger('fastapi_caching_route')

SESSION = 'session'
"""The kind of records."""

MOVED_SECONDS = 60.0
"""How long a record that has moved is kept, for requests that are still on their way."""

KEPT_SECONDS = 300.0
"""How long an expired record is kept, so that it can be told that it has expired."""

Change = Callable[[StoredSession], StoredSession]


class Keeper:
    """Creates, reads, changes and ends sessions."""

    def __init__(self, place: Place, config: SessionConfig, clock: Callable[[], float] = time.time) -> None:
        """Keep them in this place."""
        self.place = place
        self.config = config
        self.clock = clock
        self.users: UserLists = UserLists(place, clock, config.most_per_user, config.challenge)
        self.tokens: SessionTokens = tokens_of(config)
        self.on_sign_out: Callable[[str], Awaitable[object]] = _nothing
        """Is awaited with the id of a user who signs out."""
        self.observers: dict[EventKind, Observers] = {kind: Observers() for kind in get_args(EventKind)}

    def tell(self, kind: EventKind, handle: str, user: SessionUser | None, reason: str = '') -> None:
        """Tell the handlers of an event."""
        observers = self.observers[kind]
        if observers.tell is not None:
            observers.tell(SessionEvent(kind, handle, None if user is None else user.id, reason))

    async def loaded(self, connection: HTTPConnection) -> Loaded:
        """What there is for a request; it is looked up once, if the request has a place to remember it."""
        carried = carried_in(connection.scope)
        found = None if carried is None else carried.loaded.get(self)
        if found is None:
            found = await self._loaded(connection)
            if carried is not None:
                carried.loaded[self] = found
        return found

    async def current(self, connection: HTTPConnection) -> LiveSession | None:
        """The session of a request, which it may have created itself, or given another id.

        Raises:
            SessionStoreError: the store is in trouble.

        """
        carried = carried_in(connection.scope)
        own: LiveSession | None = None if carried is None else carried.unsent.get(self)
        return own if own is not None else (await self.loaded(connection)).found()

    async def _loaded(self, connection: HTTPConnection) -> Loaded:
        try:
            token = token_of(connection.scope['headers'], self.config)
        except SeveralTokensError:
            return self._refused('cookies')
        if token is None:
            return Loaded(None)
        ticket = self.tokens.read(token)
        if ticket is None:
            return self._refused('token')
        try:
            kept = await self.find(ticket)
        except SessionStoreError as trouble:
            return Loaded(None, trouble=trouble)
        wrong = 'unknown' if kept is None else wrong_client(kept.record, bound_to(self.config, connection))
        if kept is None or wrong is not None:
            return self._refused(wrong or '', ticket.handle, None if kept is None else kept.record.user)
        return Loaded(await self._renewed(kept), token)

    def _refused(self, reason: str, handle: str = '', user: SessionUser | None = None) -> Loaded:
        logger.debug('a session is refused: %s', reason)
        self.tell('refused', handle, user, reason)
        return Loaded(None)

    async def find(self, ticket: Ticket) -> LiveSession | None:
        """The session of a ticket, if it may be used now.

        Raises:
            SessionStoreError: the store is in trouble.

        """
        keys = [(SESSION, ticket.handle), *([] if ticket.user_slot is None else [(USER, ticket.user_slot)])]
        raw, *of_user = await self.place.read(*keys)
        record = decoded(raw, StoredSession)
        if raw is None or record is None or record.moved or not _is_of(record, ticket):
            return None
        now = self.clock()
        if now >= min(record.ends_at, record.idle_at):
            gone = encoded(msgspec.structs.replace(record, moved=True))
            if await self.place.swap(
                SESSION, ticket.handle, raw, gone, MOVED_SECONDS
            ):  # not if it was renewed just now
                self.tell('expired', ticket.handle, record.user, 'lifetime' if now >= record.ends_at else 'idle')
            return None
        return LiveSession(ticket, raw, record) if not of_user or counts(of_user[0], ticket.handle) else None

    async def _renewed(self, kept: LiveSession) -> LiveSession:
        """The session, renewed if that is due. If the store does not take that, the session is as good as before."""
        config, record, now = self.config, kept.record, self.clock()
        if config.idle is None or now < record.renewed_at + config.idle * config.renewal:
            return kept
        renewed = msgspec.structs.replace(record, idle_at=min(now + config.idle, record.ends_at), renewed_at=now)
        try:
            stored = await self._swapped(kept, renewed)
        except SessionStoreError:
            return kept
        if stored is None:  # another request has changed or renewed it
            return kept
        self.tell('renewed', kept.handle, record.user)
        return stored

    async def _swapped(self, kept: LiveSession, record: StoredSession) -> LiveSession | None:
        raw = encoded(record)
        if raw == kept.raw:
            return kept
        is_swapped = await self.place.swap(SESSION, kept.handle, kept.raw, raw, self._span(record))
        return LiveSession(kept.ticket, raw, record) if is_swapped else None

    def _span(self, record: StoredSession) -> float:
        return max(min(record.ends_at, record.idle_at) - self.clock(), 0.0) + KEPT_SECONDS

    async def create(
        self, user: SessionUser | None, data: dict[str, object], connection: HTTPConnection | None
    ) -> tuple[LiveSession, str]:
        """Create a session; return it, and its token.

        Raises:
            SessionStoreError: the store is in trouble.

        """
        self.tokens.check_signing()
        now, config = self.clock(), self.config
        agent, address = (None, None) if connection is None else bound_to(config, connection)
        idle_at = inf if config.idle is None else now + config.idle
        ends_at = now + config.lifetime
        record = StoredSession(now, ends_at, min(idle_at, ends_at), now, user, data, [], agent, address)
        ticket = _new_ticket(user)
        raw = encoded(record)
        if user is not None:
            await self._list(user, ticket.handle, ends_at)
        await self._add(ticket, raw, record)
        self.tell('created', ticket.handle, user)
        return LiveSession(ticket, raw, record), self.token_of(ticket, record)

    async def _add(self, ticket: Ticket, raw: bytes, record: StoredSession) -> None:
        if not await self.place.add(SESSION, ticket.handle, raw, self._span(record)):
            logger.warning('the store of sessions has no room')
            raise SessionStoreError

    def token_of(self, ticket: Ticket, record: StoredSession) -> str:
        """The token of a session."""
        user = None if record.user is None else record.user.id
        return self.tokens.made(ticket, user, record.created_at, record.ends_at)

    async def change(self, kept: LiveSession, change: Change) -> LiveSession:
        """Change a session, whatever others change meanwhile: `change` may be called several times.

        Raises:
            SessionEndedError: it has ended.
            SessionStoreError: the store is in trouble.

        """
        current: LiveSession | None = kept
        for attempt in range(MAX_ATTEMPTS):
            if current is None:
                raise SessionEndedError(self.config.challenge)
            stored = await self._swapped(current, change(current.record))
            if stored is not None:
                return stored
            await give_way(attempt)
            current = await self.find(kept.ticket)
        logger.warning('a session was changed by others %d times in a row', MAX_ATTEMPTS)
        raise SessionStoreError

    async def move(self, kept: LiveSession, change: Change) -> tuple[LiveSession, str]:
        """Give a session another id; return it, and its new token.

        Raises:
            SessionEndedError: it has ended.
            SessionStoreError: the store is in trouble. The session may have ended.

        """
        soon = self.clock() + MOVED_SECONDS
        frozen = await self.change(kept, lambda record: msgspec.structs.replace(record, moved=True, idle_at=soon))
        # What is frozen holds all changes so far; only its times are those of the record that stays behind.
        now, config = self.clock(), self.config
        idle_at = frozen.record.ends_at if config.idle is None else now + config.idle
        record = change(msgspec.structs.replace(frozen.record, moved=False, idle_at=idle_at, renewed_at=now))
        record = msgspec.structs.replace(record, idle_at=min(record.idle_at, record.ends_at))
        old, ticket, raw = kept.record.user, _new_ticket(record.user), encoded(record)
        if record.user is not None:
            replaced = kept.handle if old is not None and old.id == record.user.id else None
            await self._list(record.user, ticket.handle, record.ends_at, replaced)
        if old is not None and (record.user is None or record.user.id != old.id):
            await self.users.remove(old.id, kept.handle)
        await self._add(ticket, raw, record)
        self.tell('regenerated', ticket.handle, record.user)
        return LiveSession(ticket, raw, record), self.token_of(ticket, record)

    async def end(self, kept: LiveSession, reason: str) -> bool:
        """End a session; return whether it had not ended before.

        Raises:
            SessionStoreError: the store is in trouble. The session may have ended.

        """
        was_there = await self.place.delete(SESSION, kept.handle)
        if kept.record.user is not None:
            with suppress(SessionStoreError):  # a full store deletes, and changes nothing; what is listed is harmless
                await self.users.remove(kept.record.user.id, kept.handle)
        if was_there:
            self.tell('ended', kept.handle, kept.record.user, reason)
        return was_there

    async def _list(self, user: SessionUser, handle: str, ends_at: float, replaced: str | None = None) -> None:
        """Let a session of a user count; if it takes the place of another one, only if that one counts."""
        for dropped in await self.users.add(user.id, handle, ends_at, replaced):
            await self.place.delete(SESSION, dropped)
            self.tell('ended', dropped, user, 'too-many')

    async def end_all(self, user: str, keep: str | None) -> int:
        """End all sessions of a user in one step, but one that is kept; return how many.

        Raises:
            SessionStoreError: the store is in trouble. They may have ended.

        """
        dropped = await self.users.clear(user, keep)
        for handle in dropped:
            await self.place.delete(SESSION, handle)
            self.tell('ended', handle, SessionUser(id=user), 'all-of-user')
        return len(dropped)

    async def delete_ended(self) -> int:
        """Delete the records of sessions that have ended and are still stored; return how many."""
        deleted, now = 0, self.clock()
        async for handle in self.place.handles(SESSION):
            [raw] = await self.place.read((SESSION, handle))
            record = decoded(raw, StoredSession)
            if record is not None and now >= min(record.ends_at, record.idle_at):
                deleted += await self.place.delete(SESSION, handle)
        return deleted


def _is_of(record: StoredSession, ticket: Ticket) -> bool:
    """Whether a token says the user of its session."""
    return ticket.user_slot == (None if record.user is None else slot_of(record.user.id))


async def _nothing(_user: str) -> None:
    pass


def _new_ticket(user: SessionUser | None) -> Ticket:
    return Ticket(new_id(), None if user is None else slot_of(user.id))
