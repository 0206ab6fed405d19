"""Cache keys: a short printable str for everything in a request that the route reads.

Pure. The parts of a key are tuples of plain values. `ascii()` turns them into text: it quotes and escapes, so crafted
values cannot give two different requests the same text.
"""

import re
from hashlib import blake2b
from typing import Any, SupportsIndex
from urllib.parse import quote

from msgspec.msgpack import Encoder

from fastapi_caching_route._core.asgi import Parts, Scope
from fastapi_caching_route._core.inputs import Inputs, body_parts, content_parts, host_parts, raw_parts

KeyPair = tuple[str, str]
"""The cache key of a request without its namespace, and the full key, which the store uses."""

KEY_FORMAT = 5
"""Increases whenever the composition of keys changes, so that new code does not find old entries."""

MAX_KEY_BYTES = 200
"""The most bytes of a full key. memcached accepts 250; the rest is for the prefix that a backend adds."""

FRONT_BYTES = 80
"""How many characters of the path are readable in a key."""

MAX_LINES, MAX_REMEMBERED_LINE = 1024, 512
"""For how many request lines of a route, with the headers that are in the key, the keys are remembered, and the most
characters of each, as `ascii()` writes it. Together they take one or two megabytes at most."""

SEPARATOR = '::'
"""Separates namespace and key. No escaped text contains it, so `user` + `123` is never the same as `user1` + `23`."""

OVERRIDDEN = '%+'
"""Separates a key that the user built from the digest of dependency overrides. No escaped text contains it."""

QUERIED = '%?'
"""Separates a key that the user built from the digest of what a QUERY has asked."""

_PLAIN = re.compile(r"[A-Za-z0-9/:@!$&'()*+,;=\-._~]*")
_DECLARED = re.compile(r'^(GET|POST|QUERY):')
_DECLARED_TEXT = re.compile(r'(GET|POST|QUERY):[^ ]{0,80}:[0-9a-f]{32}')


class Keys:
    """Makes the cache keys of one route from its declared inputs."""

    __slots__ = ('_deciding', '_inputs', '_known', '_namespace', '_seed', 'is_by_body')

    def __init__(self, route: Parts, namespace: str, inputs: Inputs) -> None:
        """`route` identifies the route."""
        self._inputs = inputs
        self._deciding = inputs.deciding
        self.is_by_body: bool = inputs.deciding is not None and inputs.body_in_key
        """Whether the body of a request is all that `at_once` needs besides its head."""
        self._namespace = namespace
        self._seed = _digest((KEY_FORMAT, route, inputs.fingerprint))
        self._known: dict[Parts, KeyPair] = {}

    def at_once(self, scope: Scope, body: bytes | None = None) -> KeyPair | None:
        """The cache key of a request; None if more is in the key than the head of the request, and its body if given.

        The keys of recent requests are remembered.
        """
        deciding, inputs = self._deciding, self._inputs
        if deciding is None or (self.is_by_body and body is None):
            return None
        path, query = scope['path'], scope['query_string'] if inputs.reads_query else b''
        params = _path_values(scope) if scope.get('path_params') else ()  # the condition saves a call for each hit
        line: Parts = (scope['method'], path, query, scope.get('root_path'), params)
        if deciding:
            line += self._decided(scope, body)
        keys = self._known.get(line)
        return self._remembered(line, scope, body or b'') if keys is None else keys

    def _decided(self, scope: Scope, body: bytes | None) -> Parts:
        """Equal for requests whose keys are equal if their lines are: the deciding headers, and a digest of the body.

        Credentials are not kept in memory for longer than their request, so of them, too, there is but a digest.
        """
        deciding = self._deciding or ()
        fields = tuple([(name, value) for name, value in scope['headers'] if name in deciding])
        shown = fields if self._inputs.shared else _digest(fields).digest()
        decided: Parts = (shown, host_parts(scope)) if self._inputs.host else (shown,)
        return (*decided, blake2b(body or b'', digest_size=32).digest()) if self.is_by_body else decided

    def _remembered(self, line: Parts, scope: Scope, body: bytes) -> KeyPair:
        keys = self.of(scope, body)
        if len(ascii(line)) <= MAX_REMEMBERED_LINE:
            if len(self._known) >= MAX_LINES:
                self._known.clear()
            self._known[line] = keys
        return keys

    def built(self, key: str, scope: Scope | None = None, content: bytes = b'') -> KeyPair:
        """The cache key of a request for which a key builder returned `key`.

        While dependencies are overridden, it differs, so that the overrides have their own entries. For a QUERY, the
        content of its `scope` and what describes it are a part of the key, of which a key builder sees nothing.
        """
        suffix = f'{OVERRIDDEN}{digest(self._inputs.fingerprint)}' if self._inputs.fingerprint else ''
        suffix += f'{QUERIED}{digest(content_parts(scope, content))}' if scope else ''
        return key, full_key(self._namespace, user_key(key) + suffix)

    def of(self, scope: Scope, body: bytes, identity: str = '', extension: object = None) -> KeyPair:
        """The cache key of a request: method and path, readable by people, and a digest of all its parts.

        `identity` is the result of the identity callable: requests with the same result share entries. `extension` is a
        plain value that the `key` callable adds.
        """
        inputs = self._inputs
        method = 'GET' if scope['method'] == 'HEAD' else scope['method']
        path = scope['path']
        parts = (
            method,
            scope.get('root_path', ''),
            path,
            _path_values(scope),
            inputs.read(scope),
            body_parts(scope, body, inputs),
            raw_parts(scope, inputs.left_out) if inputs.raw else (),
            identity or (),
            host_parts(scope) if inputs.host else (),
            extension,
        )
        # The end of a tuple is visible in its text, so no other pair of tuples has the same text.
        digested = self._seed.copy()
        digested.update(ascii(parts).encode('ascii'))
        key = f'{method}:{escaped(path[:FRONT_BYTES])[:FRONT_BYTES]}:{digested.hexdigest()}'
        return key, full_key(self._namespace, key)


def _path_values(scope: Scope) -> tuple[tuple[str, str], ...]:
    """The path parameters of a request as text, including the parameters of a Host route."""
    params = scope.get('path_params')
    return tuple(sorted([(name, str(value)) for name, value in params.items()])) if params else ()


class JoinedNamespace(str):
    """A namespace that is joined already with that of the backend, from `FastAPICache.prepare_cache_params`."""

    __slots__ = ()


def root_of(namespace: str | None) -> str:
    """The namespace of a backend, as the prefix of full keys."""
    return escaped((namespace or '').strip(':'))


def full_key(namespace: str, key: str) -> str:
    """Namespace and key together: printable, without spaces, at most `MAX_KEY_BYTES` long."""
    return shortened(f'{namespace}{SEPARATOR}{key}' if namespace else key)


def user_key(key: str) -> str:
    """A key that the user built, escaped. It never equals a key that is made from declared inputs."""
    return _DECLARED.sub(r'\1%3A', escaped(key))


def is_declared(full_key: str) -> bool:
    """Whether a full key was made from declared inputs. Else the user has built it, and it may hold anything."""
    return _DECLARED.match(full_key.rpartition(SEPARATOR)[2]) is not None


def reads_as_declared(key: str) -> bool:
    """Whether a text is, by its looks, one of a key that is made from declared inputs. A user may build such a one."""
    return _DECLARED_TEXT.fullmatch(key) is not None


def shortened(key: str) -> str:
    """The key itself. If it is too long, its first characters and a digest, separated as in no escaped key."""
    if len(key) <= MAX_KEY_BYTES:
        return key
    tail = f'%~{digest(key)}'
    return key[: MAX_KEY_BYTES - len(tail)] + tail


_SAFE = "/:@!$&'()*+,;=-._~"
_QUOTED = {number: quote(chr(number), safe=_SAFE) for number in range(128)}
"""What `quote` makes of each ASCII character, which takes it ten times as long as `translate`."""


def escaped(text: str) -> str:
    """The text with everything percent-encoded that is not printable ASCII, is a `%`, or could be our separator."""
    if _PLAIN.fullmatch(text) and SEPARATOR not in text:
        return text
    quoted = text.translate(_QUOTED) if text.isascii() else quote(text, safe=_SAFE, errors='surrogatepass')
    return quoted.replace(SEPARATOR, ':%3A')


def digest(parts: object) -> str:
    """Thirty-two hex digits (128 bits) for any plain value; equal for equal values only."""
    return _digest(parts).hexdigest()


def packed_digest(parts: Parts) -> str:
    """The same length and promise as `digest`, in half of its time, for values that msgpack has.

    The two never take equal texts: one begins with a byte of msgpack, the other with a bracket.
    """
    try:
        packed = _pack(parts)
    except (TypeError, ValueError, OverflowError):  # an object, half of a character, more than 64 bits
        return digest(parts)
    return blake2b(packed, digest_size=16).hexdigest()


_pack = Encoder().encode


def _digest(parts: object) -> blake2b:
    return blake2b(ascii(parts).encode('ascii'), digest_size=16)


class EntryKey(str):
    """The cache key of one request without its namespace, for user code. It knows the full key of its entry."""

    __slots__ = ('full', 'owner')

    full: str
    owner: object
    """What is known of its route, if responses can be stored under it although no user has built it; else None."""

    @classmethod
    def of(cls, key: str, full: str, owner: object = None) -> 'EntryKey':
        """The key `key` of the entry that is stored under `full`."""
        made = cls(key)
        made.full, made.owner = full, owner
        return made

    def within(self, namespace: str) -> str:
        """The full key in this namespace: that of the entry if it is in there, else as for any key of the user."""
        own = full_key(namespace, self)
        return own if own == self.full else full_key(namespace, user_key(self))

    def __copy__(self) -> 'EntryKey':
        """Itself, as of any str."""
        return self

    def __deepcopy__(self, memo: object) -> 'EntryKey':
        """Itself, as of any str."""
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        """Only what knows no route can be pickled.

        Raises:
            TypeError: it knows its route.

        """
        if self.owner is not None:
            msg = (
                'a CacheContext.key knows its route, and cannot be pickled: pass str(context.key), which '
                'get_cached and invalidate_cached accept, with the namespace of the route, if it has one'
            )
            raise TypeError(msg)
        return super().__reduce_ex__(protocol)
