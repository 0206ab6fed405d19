"""A journal: an ordered list of texts in a backend, in which each text is kept once, at its last place.

Knows places and tokens; does not know what the texts say. A backend has a journal if it can append to one in a single
step: Redis by a script, LMDB by a transaction.

The rules:

1. An append gives all of its texts the next *place*, and a new random token. Texts that were there before move.
2. The *head* is a short text of its own, which is read beside other keys. It says how far the journal goes.
3. A journal is *whole* if its head names the token of its last place. If the head or the texts were evicted, flushed
   or deleted, the next command begins a new *epoch*: no place of an earlier epoch says anything any more.
4. A reader that knows a place that the journal does not have, or another token at its place, has seen a part that was
   lost: the server was restarted from an old copy, or a replica that lagged behind was promoted. This, too, begins a
   new epoch.
5. A journal is bounded: if it has too many texts, the oldest places are dropped with all that they have. The *floor* is
   the last one dropped, and a place below the floor says nothing any more. Only texts count, and each of them once.
6. Only the tokens of the last places are kept. A place whose token is gone cannot be checked any more (4), and a note
   that is gone with its token is known only to the readers that have read it.
"""

from collections.abc import Sequence
from secrets import token_hex
from typing import Protocol

from msgspec import Struct

MAX_TEXTS = 200_000
"""How many texts a journal keeps, at some hundred bytes each."""

MAX_TOKENS = 10_000
"""Of how many places the tokens are kept."""

MAX_READ = 10_000
"""How many texts one command reads."""

KEPT_SECONDS = 30 * 86400
"""How long a journal is kept that nobody uses: as long as the longest entry."""

BEYOND = 2**53
"""A place that no journal reaches: Redis cannot count further."""

TOKEN = '%'  # noqa: S105, no password
"""The first character of tokens among the texts."""


class JournalHead(Struct, frozen=True):
    """How far a journal goes."""

    epoch: str
    place: int
    """Of the last append; 0 at the beginning."""
    token: str
    """Of the last append, with its note."""
    floor: int

    def __str__(self) -> str:
        """As it is stored."""
        return f'{self.epoch} {self.place} {self.token} {self.floor}'


def head_of(stored: object) -> JournalHead | None:
    """The head that this text is; None if it is none."""
    parts = stored.split(' ') if isinstance(stored, str) else []
    if len(parts) != 4 or not (parts[1].isdecimal() and parts[3].isdecimal()):
        return None
    return JournalHead(parts[0], int(parts[1]), parts[2], int(parts[3]))


def new_token(note: str = '') -> str:
    """A random token, with a note that has no blanks."""
    return f'{token_hex(6)}@{note}' if note else token_hex(6)


class Tail(Struct, frozen=True):
    """What a journal has behind a place."""

    head: JournalHead
    texts: Sequence[tuple[str, int]]
    """Texts and tokens with their places, in the order of the places; the token of a place before its texts."""


def tail_of_none(known: JournalHead | None, texts: Sequence[str]) -> Tail:
    """What a journal says that is switched off: nothing new.

    After texts that it has not taken, it is in an epoch of its own: what it had before says nothing any more.
    """
    token = new_token()
    return Tail(JournalHead(token, 0, token, 0) if texts or known is None else known, ())


class Journals(Protocol):
    """The command of journals. It is atomic, and begins a new epoch if the journal is not whole (3) or was lost (4)."""

    async def journal(self, key: str, known: JournalHead | None, texts: Sequence[str], note: str) -> Tail:
        """Append texts, if there are any, to the journal under a key; return what it has behind the head `known`.

        All that it has, if `known` is of another epoch; nothing but the head, if texts are appended and nothing is
        known. At most about `MAX_READ` texts: then ask again.
        """
        ...
