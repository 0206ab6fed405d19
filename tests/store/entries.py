"""An entry, and how it is stored and looked up."""

from msgspec.structs import replace

from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.variants import Variants

ENTRY = Entry(
    key='api::GET:/a b',
    status=200,
    headers=((b'content-type', b'image/png'), (b'set-up', b'\xe9'), (b'etag', b'"x"')),
    content=bytes(range(256)) * 10,
    stored_at=1_800_000_000.25,
    lifetime=0.5,
    stale_if_error=2.0,
    windowed=True,
    names=('all', 'tag:a'),
    marks=('x', 'y', 'z', 'w'),
)


VARIANTS = Variants('key', (b'accept', b'x-plan'), 'token')


async def keep(store, entry=ENTRY):
    """Store an entry with the marks of its names; give it as it was stored."""
    visit = store.visit()
    before = await visit.marks_before(entry.names, key=entry.key, windowed=entry.windowed)
    standing = await visit.marks_after(before, entry.names, key=entry.key, windowed=entry.windowed, span=entry.lifetime)
    marked = replace(entry, marks=standing.marks)
    assert await visit.put(marked, 60)
    return marked


async def look_up(store, key=ENTRY.key):
    found = await store.visit().look_up(key)
    return found.entry if found is not None else None
