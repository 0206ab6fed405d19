"""By which request headers the responses under one key are told apart, beyond what is in the key (RFC 9111 §4.1). Pure."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from fastapi_caching_route._core.asgi import Scope
from fastapi_caching_route._core.entry import FIELD_BYTES, TEXT_BYTES, Entry
from fastapi_caching_route._core.inputs import Inputs, raw_parts
from fastapi_caching_route._core.key import digest, shortened
from fastapi_caching_route._http.fields import selected


@dataclass(frozen=True, slots=True)
class Variants:
    """Stands under a key whose responses vary with further request fields: says which (RFC 9111 §4.1)."""

    key: str
    selecting: tuple[bytes, ...]
    token: str
    """Random, and part of the variants' own keys: once this record is gone, they can never be found again."""
    known: tuple[str, ...] = ()
    """The digests of the variants that are kept, the newest last: a limited number, so that no client fills the store."""

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, estimated from above."""
        texts = (self.key, self.token, *self.selecting, *self.known)
        return sum(map(len, texts)) + TEXT_BYTES * len(texts) + FIELD_BYTES


@dataclass(slots=True)
class Brought:
    """All who wait may answer from this entry, if their selecting fields are those of its variant."""

    entry: Entry
    variants: Variants | None
    """Of which it is one, if answers under its key vary."""


MOST_VARIANTS = 64
"""Answers kept under one key that differ by the fields in their Vary: more than there are languages in most sites."""

ALL_FIELDS = b'*'
"""Stands among the fields of variants for all that the raw request shows."""


def fields_of_variants(
    inputs: Inputs, vary: Collection[bytes], variants: Variants | None, *, all_fields: bool
) -> set[bytes]:
    """The request fields, beyond those in the key, by which the answers under a key must be told apart.

    Those that the endpoint names in Vary (`vary`), those that the user named beside a key builder, and those that earlier
    answers named: an answer that does not vary replaces the one for its own fields, not those for others. `all_fields`
    says that this answer may depend on anything in the request.
    """
    varying = {*vary, *(() if inputs.declared else inputs.selecting)}
    known = set(variants.selecting if variants else ()) - {ALL_FIELDS}
    return {name for name in varying if not inputs.covers(name)} | known | ({ALL_FIELDS} if all_fields else set())


def may_be_for_all(inputs: Inputs, variants: Variants | None) -> bool:
    """Whether caches in front may share a response under this key too: URL and Vary say all that it depends on."""
    return inputs.for_all and (variants is None or ALL_FIELDS not in variants.selecting)


def variant_of(variants: Variants, scope: Scope, left_out: Collection[bytes], *, normalised: bool) -> str:
    """The digest of what tells the answer for this request apart from the others under its key."""
    everything = raw_parts(scope, left_out) if ALL_FIELDS in variants.selecting else ()
    return digest((variants.token, selected(scope['headers'], variants.selecting, normalised=normalised), everything))


def variant_key(variants: Variants, variant: str) -> str:
    """The key of one variant."""
    return shortened(f'{variants.key}:{variants.token}:{variant}')


def adding(variants: Variants, variant: str) -> tuple[Variants, list[str]]:
    """The record with this variant as its newest, and the keys of those that have to go for it."""
    known = (*(it for it in variants.known if it != variant), variant)
    dropped = [variant_key(variants, it) for it in known[:-MOST_VARIANTS]]
    return replace(variants, known=known[-MOST_VARIANTS:]), dropped
