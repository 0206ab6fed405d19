"""What finds an entry: everything that the route is seen to read of a request, folded into a short printable key.

Pure. Parts are tuples of plain values; they are written down by `ascii()`, which quotes and escapes, so that no
crafted value can make the parts of two different requests look the same.
"""

from hashlib import blake2b
from urllib.parse import quote

from fastapi_caching_route._core.asgi import Parts, Scope
from fastapi_caching_route._core.inputs import _DECLARED, _PLAIN, Inputs, _content, raw_parts

KeyPair = tuple[str, str]
"""The key of a request inside of its namespace, and with it, as what it is in the store."""


KEY_FORMAT = 2
"""Rises with every change of what keys are made of, so that old entries are not found by new code."""

MAX_KEY_BYTES = 200
"""memcached takes 250, of which some are left for what a backend puts in front."""

FRONT_BYTES = 80
"""How much of the path stays readable in a key."""

MAX_LINES, MAX_REMEMBERED_LINE = 1024, 512
"""Request lines of a route whose keys are remembered, and the most characters of each: a megabyte or two at most."""

SEPARATOR = '::'
"""Between namespace and key. No escaped text contains it, so `user` + `123` is never `user1` + `23`."""

OVERRIDDEN = '%+'
"""Between a key that the user made and what says under which overrides it holds. No escaped text contains it."""


class Keys:
    """The keys of one route, by its declared inputs."""

    __slots__ = ('_inputs', '_known', '_namespace', '_seed')

    def __init__(self, route: Parts, namespace: str, inputs: Inputs) -> None:
        """`route` says which route it is."""
        self._inputs = inputs
        self._namespace = namespace
        self._seed = _digest((KEY_FORMAT, route, inputs.fingerprint))
        self._known: dict[Parts, KeyPair] = {}

    def at_once(self, scope: Scope) -> KeyPair | None:
        """The key of a request, where its line is all that counts; None where more of it does.

        What the same line came to is remembered for a while.
        """
        if not self._inputs.by_line:
            return None
        path, query = scope['path'], scope['query_string'] if self._inputs.reads_query else b''
        params = _path_values(scope) if scope.get('path_params') else ()  # the condition saves a call on each hit
        line = (scope['method'], path, query, scope.get('root_path'), params)
        keys = self._known.get(line)
        if keys is None:
            keys = self.of(scope, b'')
            size = len(path) + len(query) + len(line[3] or '') + sum([len(value) for _, value in params])
            if size <= MAX_REMEMBERED_LINE:
                if len(self._known) >= MAX_LINES:
                    self._known.clear()
                self._known[line] = keys
        return keys

    def built(self, key: str) -> KeyPair:
        """The key of a request for which a key builder has made this one; while dependencies are overridden, one of its own."""
        suffix = f'{OVERRIDDEN}{digest(self._inputs.fingerprint)}' if self._inputs.fingerprint else ''
        return key, full_key(self._namespace, user_key(key) + suffix)

    def of(self, scope: Scope, body: bytes, identity: str = '') -> KeyPair:
        """The key of a request: method and path for people to read, and a digest of all that counts.

        `identity` is what an identity callable has made of the request: who shares with it.
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
            _content(scope, body, inputs),
            raw_parts(scope, inputs.left_out) if inputs.raw else (),
            identity or (),
        )
        # Where a tuple that is written down ends can be seen, so no other pair of tuples comes to the same text.
        digested = self._seed.copy()
        digested.update(ascii(parts).encode('ascii'))
        key = f'{method}:{escaped(path[:FRONT_BYTES])[:FRONT_BYTES]}:{digested.hexdigest()}'
        return key, full_key(self._namespace, key)


def _path_values(scope: Scope) -> tuple[tuple[str, str], ...]:
    """The path parameters of a request as texts: those of its path, and what a Host route has added."""
    params = scope.get('path_params')
    return tuple(sorted([(name, str(value)) for name, value in params.items()])) if params else ()


def root_of(namespace: str | None) -> str:
    """The namespace of a backend, as it stands in front of keys."""
    return escaped((namespace or '').strip(':'))


def full_key(namespace: str, key: str) -> str:
    """Namespace and key as one: printable, without blanks, at most `MAX_KEY_BYTES`."""
    return shortened(f'{namespace}{SEPARATOR}{key}' if namespace else key)


def user_key(key: str) -> str:
    """A key that the user made, of any characters; it never looks like one of declared inputs."""
    return _DECLARED.sub(r'\1%3A', escaped(key))


def shortened(key: str) -> str:
    """The key itself or, where it is too long, its front and a digest behind a sign that no escaped key contains."""
    if len(key) <= MAX_KEY_BYTES:
        return key
    tail = f'%~{digest(key)}'
    return key[: MAX_KEY_BYTES - len(tail)] + tail


def escaped(text: str) -> str:
    """Percent-encoded where it is not printable ASCII, is a `%`, or could be mistaken for our separator."""
    if _PLAIN.fullmatch(text) and SEPARATOR not in text:
        return text
    return quote(text, safe="/:@!$&'()*+,;=-._~", errors='surrogatepass').replace(SEPARATOR, ':%3A')


def digest(parts: object) -> str:
    """Thirty-two hex digits (128 bits) for any plain value; equal for equal values only."""
    return _digest(parts).hexdigest()


def _digest(parts: object) -> blake2b:
    return blake2b(ascii(parts).encode('ascii'), digest_size=16)


class EntryKey(str):
    """The key of one request, without its namespace, as user code is shown it; it knows under which full key the entry is."""

    __slots__ = ('full',)

    full: str

    @classmethod
    def of(cls, key: str, full: str) -> 'EntryKey':
        """This key, of the entry under this full key."""
        made = cls(key)
        made.full = full
        return made

    def within(self, namespace: str) -> str:
        """The full key under this namespace: that of the entry, if it is in there, else as of any key of a user."""
        own = full_key(namespace, self)
        return own if own == self.full else full_key(namespace, user_key(self))
