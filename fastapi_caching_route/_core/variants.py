"""The responses under one key, and what selects one of them. Pure.

It is the headers in Vary (RFC 9111 §4.1), and what was read of the raw request.

Several code paths of an endpoint read different things. So a record keeps groups: the names of all that was read to
make one response. A response is for every request that is equal in its group, whatever else differs.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from msgspec import Struct

from fastapi_caching_route._core.asgi import Parts
from fastapi_caching_route._core.entry import FIELD_BYTES, TEXT_BYTES, Entry
from fastapi_caching_route._core.inputs import Inputs
from fastapi_caching_route._core.key import packed_digest, shortened
from fastapi_caching_route._core.raw_request import RawRequest
from fastapi_caching_route._core.read_names import (
    BODY,
    HARMLESS_HEADERS,
    SEVERAL,
    are_harmless,
    header_of,
    is_part,
    together,
    unsaid,
)
from fastapi_caching_route._http.fields import RawHeaders, selected
from fastapi_caching_route._http.freshness import FOREVER

Group = tuple[str, ...]
"""The names of what was read of the raw request to make a response, in their order."""


@dataclass(frozen=True, slots=True)
class Variants:
    """The record under a key with several responses."""

    key: str
    selecting: tuple[bytes, ...]
    """The request headers that responses name in Vary. They select among all of the responses."""
    token: str
    """Random, and part of the keys of the variants: without this record they can never be found again."""
    known: tuple[str, ...] = ()
    """The digests of the stored variants, the newest last. Their number is limited, so that no client can fill the
    store."""
    groups: tuple[Group, ...] = ((),)
    ends_at: float = 0.0
    """When the last of the variants expires, in seconds since the epoch. The record is kept until then."""

    @property
    def size(self) -> int:
        """Bytes in memory, an upper estimate."""
        texts = (self.key, self.token, *self.selecting, *self.known, *(name for group in self.groups for name in group))
        return sum(map(len, texts)) + TEXT_BYTES * len(texts) + FIELD_BYTES


class StoredRecord(Struct, frozen=True):
    """A record of variants, found in a list of all that is stored."""

    record: Variants
    is_own: bool = False
    """See `Headed`."""


class RecentRecords:
    """The records that were found last under their keys. They say what to look up together with a record."""

    __slots__ = ('_records', 'get')

    def __init__(self) -> None:
        """None has been found."""
        self._records: dict[str, Variants] = {}
        self.get: Callable[[str], Variants | None] = self._records.get

    def note(self, record: Variants) -> None:
        """This one was found under its key."""
        if self.get(record.key) is not record:
            if len(self._records) >= MAX_RECORDS:
                self._records.clear()
            self._records[record.key] = record


class Brought(Struct, frozen=True):
    """An entry for all followers of a flight whose request is equal in all that selects its variant."""

    entry: Entry
    variants: Variants | None
    """The record of its variants, if there are several responses under its key."""


MAX_RECORDS = 512
"""How many records are remembered: some megabytes at most. Without one, a look-up takes two round trips."""

MAX_VARIANTS = 64
"""The most variants that are stored under one key: more than most sites have languages."""

MAX_GROUPS = 8
"""The most groups of one key. A look-up compares the request with each of them."""


def varying_fields(inputs: Inputs, vary: Collection[bytes], variants: Variants | None) -> set[bytes]:
    """The request headers, beyond those in the key, that select one of the responses under a key.

    They are named by the endpoint in Vary (`vary`), by the user beside a key builder, or by earlier responses: a
    response that does not vary replaces the variant for its own headers, not the others.
    """
    varying = {*vary, *(() if inputs.declared else inputs.selecting)}
    known = set(variants.selecting if variants else ())
    return {name for name in varying if not inputs.covers(name)} | known


def may_be_for_all(inputs: Inputs, read: Iterable[str]) -> bool:
    """Whether caches in front may share a response that was made by reading this: URL and Vary name all of it."""
    return inputs.for_all and not unsaid(read)


def may_be_shown(inputs: Inputs, vary: Iterable[bytes], read: Iterable[str]) -> bool:
    """Whether a response may be shown to people who cannot send its request: nothing that selects it may be personal.

    Its path is shown anyway. `vary` names the request headers that are in its own Vary.
    """
    is_harmless = are_harmless(read) and HARMLESS_HEADERS.issuperset((*inputs.selecting, *vary))
    return may_be_for_all(inputs, read) and is_harmless and not inputs.reads_texts and not inputs.body_in_key


def variant_of(
    variants: Variants, group: Group, headers: RawHeaders, values: Parts | None, *, normalised: bool
) -> str | None:
    """The digest of what selects a variant: `values` are those of the group; None if they cannot be compared."""
    if values is None:
        return None
    fields = selected(headers, variants.selecting, normalised=normalised) if variants.selecting else ()
    return packed_digest((variants.token, fields, group, values))


def stored_variant(variants: Variants, request: RawRequest, *, normalised: bool) -> str | None:
    """The digest of the newest stored variant that is for this request, or None."""
    headers, known = request.scope['headers'], variants.known
    if len(variants.groups) == 1:  # nearly always, and half of the work
        [group] = variants.groups
        only = variant_of(variants, group, headers, request.values(group) if group else (), normalised=normalised)
        return only if only in known else None
    found = [
        variant_of(variants, it, headers, request.values(it) if it else (), normalised=normalised)
        for it in variants.groups
    ]
    stored = [it for it in found if it is not None and it in known]
    return max(stored, key=known.index) if len(stored) > 1 else stored[0] if stored else None


def variants_for(variants: Variants, request: RawRequest, *, normalised: bool) -> list[str]:
    """The keys of all variants, one of each group, that would be for this request."""
    headers = request.scope['headers']
    found = (variant_of(variants, it, headers, request.values(it), normalised=normalised) for it in variants.groups)
    return [variant_key(variants, it) for it in found if it is not None]


def expected_variant(variants: Variants, request: RawRequest, *, normalised: bool) -> str | None:
    """The digest of everything that is known to select among the responses; None if the request cannot be compared."""
    group = _together(variants.groups)
    headers = request.scope['headers']
    return variant_of(variants, group, headers, request.values(group), normalised=normalised)


def needs_body(variants: Variants) -> bool:
    """Whether the body of a request selects its variant."""
    return any(BODY in group for group in variants.groups)


def selecting_headers(variants: Variants | None) -> set[bytes]:
    """The request headers that select a variant by themselves."""
    if variants is None:
        return set()
    names = {header_of(name) for group in variants.groups for name in group}
    return {*variants.selecting, *(it for it in names if it is not None)}


def variant_key(variants: Variants, variant: str) -> str:
    """The key of one variant."""
    return shortened(f'{variants.key}:{variants.token}:{variant}')


def grouped(variants: Variants, group: Group) -> tuple[Variants, Group]:
    """The record with a group for a response, and that group. If there are too many, they become one."""
    if group in variants.groups:
        return variants, group
    wide = next((it for it in variants.groups if SEVERAL in it and _includes(it, group)), None)
    if wide is not None:
        return variants, wide
    if len(variants.groups) < MAX_GROUPS:
        return replace(variants, groups=(*variants.groups, group)), group
    together = _together((*variants.groups, group, (SEVERAL,)))
    return replace(variants, groups=(together,)), together


def _together(groups: Iterable[Group]) -> Group:
    return together(name for group in groups for name in group)


def _includes(wide: Group, group: Group) -> bool:
    return all(name in wide or is_part(name, wide) for name in group)


def adding(variants: Variants, variant: str) -> tuple[Variants, list[str]]:
    """The record with this variant as its newest, and the keys of the variants that are evicted for it."""
    known = (*(it for it in variants.known if it != variant), variant)
    dropped = [variant_key(variants, it) for it in known[:-MAX_VARIANTS]]
    return replace(variants, known=known[-MAX_VARIANTS:]), dropped


def with_only(variants: Variants, stored: Collection[str]) -> Variants:
    """The record without the variants that are stored under none of these keys."""
    return replace(variants, known=tuple(it for it in variants.known if variant_key(variants, it) in stored))


def lasting(variants: Variants, now: float, span: float) -> tuple[Variants, float]:
    """The record with one more variant that is kept for `span` seconds, and for how long the record is kept."""
    left = max(span, min(variants.ends_at - now, FOREVER))  # in this order, what is no number does not count
    return replace(variants, ends_at=now + left), left
