"""Journals in Redis: a sorted set of texts by their places, and the head as a string. See `journal` for the rules.

Both keys have the same hash tag, so that a cluster keeps them on one node. The command is one script. Its first write
takes no memory, and Redis lets a script that has written go on even if it is full.
"""

from collections.abc import Sequence
from typing import Any

from fastapi_caching_route._backends.journal import (
    BEYOND,
    KEPT_SECONDS,
    MAX_READ,
    MAX_TEXTS,
    MAX_TOKENS,
    JournalHead,
    Tail,
    head_of,
    new_token,
)

_SCRIPT = """
local head, texts, ttl = KEYS[1], KEYS[2], tonumber(ARGV[1])
local prefix, begun, appended, most, most_read = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local most_tokens, known_epoch, known_place, known_token = tonumber(ARGV[7]), ARGV[8], tonumber(ARGV[9]), ARGV[10]
redis.call('PEXPIRE', texts, ttl)
local epoch, place, token, floor
local stored = redis.pcall('GET', head)
if type(stored) == 'string' then
    epoch, place, token, floor = string.match(string.sub(stored, 1 + #prefix), '^(%x+) (%d+) (%S+) (%d+)$')
    place, floor = tonumber(place), tonumber(floor)
end
local function is_at(wanted, where)
    local found = wanted and redis.pcall('ZSCORE', texts, '%' .. wanted)
    return type(found) == 'string' and tonumber(found) == where
end
local whole = is_at(token, place)
local behind = '-inf'
if whole and known_epoch == epoch then
    behind = '(' .. known_place
    local unknown = known_place < floor or known_place <= place - most_tokens
    whole = unknown or (known_place <= place and is_at(known_token, known_place))
end
if not whole then
    epoch, place, token, floor, behind = begun, 0, begun, 0, '-inf'
    redis.call('DEL', texts)
    redis.call('ZADD', texts, 0, '%' .. token)
end
if #ARGV > 10 then
    place, token = place + 1, appended
    redis.call('ZADD', texts, place, '%' .. token)
    for at = 11, #ARGV do
        redis.call('ZADD', texts, place, ARGV[at])
    end
    local old = place - most_tokens
    for _, text in ipairs(redis.call('ZRANGEBYSCORE', texts, old, old)) do
        if string.sub(text, 1, 1) == '%' then redis.call('ZREM', texts, text) end
    end
    local tokens = place - math.max(old, floor > 0 and floor or -1)
    local excess = redis.call('ZCARD', texts) - tokens - most
    while excess > 0 do
        local oldest = redis.call('ZRANGE', texts, 0, 0, 'WITHSCORES')[2]
        floor = tonumber(oldest)
        for _, text in ipairs(redis.call('ZRANGEBYSCORE', texts, floor, floor)) do
            if string.sub(text, 1, 1) ~= '%' then excess = excess - 1 end
        end
        redis.call('ZREMRANGEBYSCORE', texts, '-inf', floor)
    end
end
local text = string.format('%s %.0f %s %.0f', epoch, place, token, floor)
redis.call('SET', head, prefix .. text, 'PX', ttl)
redis.call('PEXPIRE', texts, ttl)
if known_epoch == '' and #ARGV > 10 then
    return {text, {}}
end
return {text, redis.call('ZRANGEBYSCORE', texts, behind, '+inf', 'WITHSCORES', 'LIMIT', 0, most_read)}
"""


async def journal(
    client: Any, keys: tuple[str, str], prefix: bytes, *, known: JournalHead | None, texts: Sequence[str], note: str
) -> Tail:
    """See `Journals`. The keys are those of the head and of the texts; `prefix` is how stored texts begin.

    If somebody else has written to it, it is deleted, and begins anew: a lost journal revives nothing.
    """
    sizes = (MAX_TEXTS, MAX_READ, MAX_TOKENS)
    place = ('', 0, '') if known is None else (known.epoch, known.place, known.token)
    while True:
        arguments = (KEPT_SECONDS * 1000, prefix, new_token(), new_token(note), *sizes, *place, *texts)
        tail = _tail_of(*await client.eval(_SCRIPT, 2, *keys, *arguments))
        if tail is not None:
            return tail
        await client.delete(*keys)


def _tail_of(stored: bytes, flat: Sequence[bytes]) -> Tail | None:
    """What a journal has; None if that is not what the script writes."""
    try:
        head = head_of(stored.decode())
        texts = [(text.decode(), int(place)) for text, place in zip(flat[::2], flat[1::2], strict=True)]
    except ValueError:
        return None
    return None if head is None or head.place >= BEYOND else Tail(head, texts)
