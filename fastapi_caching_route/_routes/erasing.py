"""Entries that are deleted with their bytes, and with all that the store tells of them beside.

That is their records of variants: their keys have a path, and they name what selects a response, with digests of it.
Knows names and records; does not know how a store lists and deletes.
"""

from collections.abc import Collection, Mapping

from fastapi_caching_route._core.owner import belongs_by_key
from fastapi_caching_route._core.variants import StoredRecord, Variants, lasting, variant_key, with_only
from fastapi_caching_route._routes.listed import pages_of, told_apart
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route._store.visit import Described, Listed

TRIES = 10
"""How often a record is looked at that changes each time. Then it is deleted."""


async def erase(settings: Settings, names: Collection[str]) -> int:
    """Invalidate names, and delete the bytes of all entries that have one of them, alive or not; return how many.

    Records of variants lose those that are not stored, and are deleted if none is left. To other processes, that is a
    miss at most: without its record, or its place in it, a variant is never found.

    Raises:
        ConfigurationError: the backend cannot list its entries. Nothing has been invalidated.
        InvalidationError: the backend has not taken the invalidation.
        CacheError: it failed while entries were deleted.

    """
    async for _ in pages_of(settings):  # whether it can list them
        break
    await settings.store.invalidate(tuple(names))
    erased = 0
    async for page, _ in pages_of(settings):
        async with told_apart(settings):
            erased += await _erase_on(page, settings, names)
    return erased


async def _erase_on(page: Described, settings: Settings, names: Collection[str]) -> int:
    """Erase what is on a page: records first, since an old one may be proven to be ours by its variants alone."""
    gone = set[str]()
    for record in page.records.values():
        gone |= await _trim(settings, record, names)
    rest = {key: it for key, it in page.entries.items() if key not in gone}
    return len(gone) + len(await _erase_named(settings, rest, names))


async def _erase_named(settings: Settings, entries: Mapping[str, Listed], names: Collection[str]) -> set[str]:
    keys = {key for key, (it, _) in entries.items() if not set(names).isdisjoint(it.entry.names)}
    await settings.store.erase([*keys])
    return keys


async def _trim(settings: Settings, found: StoredRecord, names: Collection[str]) -> set[str]:
    """Let a record name only what is stored, after erasing what has one of the names; return the keys of that.

    Nobody can tell which names a variant had that is not stored any more.
    """
    now, described = await _looked_at(settings, found)
    if now is None:
        return set()
    is_ours = now.is_own or bool(described.entries) or belongs_by_key(now.record.key, settings.store.namespace)
    erased = await _erase_named(settings, described.entries, names)
    left = with_only(now.record, {*described.entries, *described.others} - erased)
    if is_ours and (left.known != now.record.known or not left.known):
        await _replace(settings, left)
    return erased


async def _looked_at(settings: Settings, found: StoredRecord) -> tuple[StoredRecord | None, Described]:
    """A record as it is now, if there is still one, and what is stored of its variants at the same moment."""
    for _ in range(TRIES):
        record = found.record
        described = await settings.store.described([record.key, *(variant_key(record, it) for it in record.known)])
        now = described.records.get(record.key)
        if now is None or now.record == record:
            return now, described
        found = now
    return found, Described({}, {}, set())


async def _replace(settings: Settings, record: Variants) -> None:
    """Store a record in place of a longer one, for as long as that one. If that fails, delete it."""
    record, left = lasting(record, settings.runtime.clock(), 0.0)
    if not (record.known and left > 0 and await settings.store.visit().put(record, left)):
        await settings.store.erase([record.key])
