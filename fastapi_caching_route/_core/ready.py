"""Prepared response headers: they stay valid until Age or the remaining ttl changes, so at most one second. Pure."""

from typing import Any
from weakref import ref

from msgspec import Struct

from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._http.fields import Field, RawHeaders, lines
from fastapi_caching_route._http.representation import unchanged

MAX_READY = 1024
"""For how many entries of a route the heads are remembered, half a kilobyte each."""

ROUNDED = 1e-6
"""Seconds; more than what a time of today is rounded by."""


class Ready(Struct):
    """The prepared head of a response from an entry, valid from `since` until just before `until`."""

    entry_ref: Any
    """A weak reference: the entry is not to be kept in memory for this."""
    since: float
    until: float
    is_fresh: bool
    renews: bool
    """Whether the entry is to be renewed, unless that is under way."""
    labels: RawHeaders
    """Its age, and all else that is added to its headers."""
    sent: RawHeaders
    """Its headers, of one representation."""
    headers: list[Field]
    """The same with the labels, to be copied."""
    tag: bytes | None
    """Its ETag, by which a client may have it already; None if it is no 200."""
    _of_a_304: list[Field] | None = None

    def of_a_304(self) -> list[Field]:
        """The headers for such a client. They are made when the first one asks."""
        if self._of_a_304 is None:
            self._of_a_304 = [*unchanged(self.sent), *self.labels]
        return self._of_a_304


def prepared_head(
    entry: Entry, sent: RawHeaders, labels: RawHeaders, *, now: float, age: float, left: float, renews: bool
) -> Ready:
    """The head of an entry of this age, which is fresh for `left` seconds, as it is sent to clients that accept that.

    It holds until either is another number.
    """
    until = now + min(1 - age % 1, left % 1, *((left + entry.stale_while_revalidate,) if renews else ())) - ROUNDED
    tag = next(iter(lines(sent, b'etag')), None) if entry.status == 200 else None
    return Ready(ref(entry), now, until, left > 0, renews, labels, sent, [*sent, *labels], tag)


def keep_ready(ready: Ready, key: str, among: dict[str, Ready]) -> None:
    """Remember a head for later requests."""
    if len(among) >= MAX_READY:
        among.clear()
    among[key] = ready
