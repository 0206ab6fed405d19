"""Request headers that select one of the responses under a key (RFC 9111 §4.1). Pure."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from msgspec import Struct

from fastapi_caching_route._core.asgi import Scope
from fastapi_caching_route._core.entry import FIELD_BYTES, TEXT_BYTES, Entry
from fastapi_caching_route._core.inputs import Inputs, raw_parts
from fastapi_caching_route._core.key import digest, shortened
from fastapi_caching_route._http.fields import selected


@dataclass(frozen=True, slots=True)
class Variants:
    """The record under a key whose responses vary with further request headers, with their names (RFC 9111 §4.1)."""

    key: str
    selecting: tuple[bytes, ...]
    token: str
    """Random, and part of the keys of the variants: without this record they can never be found again."""
    known: tuple[str, ...] = ()
    """The digests of the stored variants, the newest last. Their number is limited, so that no client can fill the
    store."""

    @property
    def size(self) -> int:
        """Bytes in memory, an upper estimate."""
        texts = (self.key, self.token, *self.selecting, *self.known)
        return sum(map(len, texts)) + TEXT_BYTES * len(texts) + FIELD_BYTES


class Brought(Struct, frozen=True):
    """An entry for all followers of a flight whose selecting headers match its variant."""

    entry: Entry
    variants: Variants | None
    """The record of its variants, if the responses under its key vary."""


MOST_VARIANTS = 64
"""The most variants that are stored under one key: more than most sites have languages."""

ALL_FIELDS = b'*'
"""Among selecting headers: everything in the raw request."""


def fields_of_variants(
    inputs: Inputs, vary: Collection[bytes], variants: Variants | None, *, all_fields: bool
) -> set[bytes]:
    """The request headers, beyond those in the key, that select one of the responses under a key.

    They are named by the endpoint in Vary (`vary`), by the user beside a key builder, or by earlier responses: a
    response that does not vary replaces the variant for its own headers, not the others. With `all_fields`, the
    response may depend on anything in the request.
    """
    varying = {*vary, *(() if inputs.declared else inputs.selecting)}
    known = set(variants.selecting if variants else ()) - {ALL_FIELDS}
    return {name for name in varying if not inputs.covers(name)} | known | ({ALL_FIELDS} if all_fields else set())


def may_be_for_all(inputs: Inputs, variants: Variants | None) -> bool:
    """Whether caches in front may share a response under this key: URL and Vary name everything it depends on."""
    return inputs.for_all and (variants is None or ALL_FIELDS not in variants.selecting)


def variant_of(variants: Variants, scope: Scope, left_out: Collection[bytes], *, normalised: bool) -> str:
    """The digest of the selecting headers of a request: it selects the variant under a key."""
    everything = raw_parts(scope, left_out) if ALL_FIELDS in variants.selecting else ()
    return digest((variants.token, selected(scope['headers'], variants.selecting, normalised=normalised), everything))


def variant_key(variants: Variants, variant: str) -> str:
    """The key of one variant."""
    return shortened(f'{variants.key}:{variants.token}:{variant}')


def adding(variants: Variants, variant: str) -> tuple[Variants, list[str]]:
    """The record with this variant as its newest, and the keys of the variants that are evicted for it."""
    known = (*(it for it in variants.known if it != variant), variant)
    dropped = [variant_key(variants, it) for it in known[:-MOST_VARIANTS]]
    return replace(variants, known=known[-MOST_VARIANTS:]), dropped
