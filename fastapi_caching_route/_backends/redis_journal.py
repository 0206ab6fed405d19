"""Journals in Redis: a sorted set of texts by their places, and the head as a string. See `journal` for the rules.

Both keys have the same hash tag, so that a cluster keeps them on one node. Each command is one script. Its first write
takes no memory, and Redis lets a script that has written go on even if it is full.
"""

from collections.abc import Sequence
from typing import Any

from fastapi_caching_route._backends.journal import KEPT_SECONDS, MAX_READ, MAX_TEXTS, Head, Tail, head_of, new_token

_BEGIN = """
local head, texts, ttl = KEYS[1], KEYS[2], tonumber(ARGV[1])
redis.call('PEXPIRE', texts, ttl)
local epoch, place, token, floor
local stored = redis.call('GET', head)
if stored then
    epoch, place, token, floor = string.match(string.sub(stored, 1 + #ARGV[2]), '^(%x+) (%d+) (%S+) (%d+)$')
    place, floor = tonumber(place), tonumber(floor)
end
local function is_at(wanted, where)
    return wanted and tonumber(redis.call('ZSCORE', texts, '%' .. wanted) or -1) == where
end
local function publish()
    local text = string.format('%s %.0f %s %.0f', epoch, place, token, floor)
    redis.call('SET', head, ARGV[2] .. text, 'PX', ttl)
    redis.call('PEXPIRE', texts, ttl)
    return text
end
local function begin()
    epoch, place, token, floor = ARGV[3], 0, ARGV[3], 0
    redis.call('DEL', texts)
    redis.call('ZADD', texts, 0, '%' .. token)
end
local whole = is_at(token, place)
"""

_APPEND = (
    _BEGIN
    + """
if not whole then begin() end
place, token = place + 1, ARGV[4]
redis.call('ZADD', texts, place, '%' .. token)
for at = 6, #ARGV do
    redis.call('ZADD', texts, place, ARGV[at])
end
local excess = redis.call('ZCARD', texts) - tonumber(ARGV[5])
if excess > 0 then
    local cut = redis.call('ZRANGE', texts, excess - 1, excess - 1, 'WITHSCORES')[2]
    floor = math.min(tonumber(cut), place - 1)
    redis.call('ZREMRANGEBYSCORE', texts, '-inf', floor)
end
return publish()
"""
)

_SINCE = (
    _BEGIN
    + """
local known_epoch, known_place, known_token, from = ARGV[5], tonumber(ARGV[6]), ARGV[7], '-inf'
if whole and known_epoch == epoch then
    if known_place > place or (known_place >= floor and not is_at(known_token, known_place)) then whole = false end
    from = '(' .. known_place
end
if not whole then
    begin()
    from = '-inf'
end
return {publish(), redis.call('ZRANGEBYSCORE', texts, from, '+inf', 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[4]))}
"""
)


async def append(client: Any, keys: tuple[str, str], prefix: bytes, texts: Sequence[str], note: str) -> Head:
    """See `Journals`. The keys are those of the head and of the texts; `prefix` is how stored texts begin."""
    more = (new_token(note), MAX_TEXTS, *texts)
    return _head(await client.eval(_APPEND, 2, *keys, KEPT_SECONDS * 1000, prefix, new_token(), *more))


async def since(client: Any, keys: tuple[str, str], prefix: bytes, known: Head | None) -> Tail:
    """See `Journals`."""
    place = ('', 0, '') if known is None else (known.epoch, known.place, known.token)
    begin = (KEPT_SECONDS * 1000, prefix, new_token())
    head, flat = await client.eval(_SINCE, 2, *keys, *begin, MAX_READ, *place)
    places = map(int, map(float, flat[1::2]))
    return Tail(_head(head), [(text.decode(), place) for text, place in zip(flat[::2], places, strict=True)])


def _head(stored: bytes) -> Head:
    head = head_of(stored.decode())
    assert head is not None  # the script writes nothing else
    return head
