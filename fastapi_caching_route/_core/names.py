"""The names by which entries are invalidated.

Pure. A name is a printable str of at most 200 characters. Longer ones are cut, and end in a digest of the whole,
because clients choose paths and parameters. Two different things of one kind have different names, except where a
docstring says otherwise. There, an invalidation affects too many entries, which costs a run of the endpoint; affecting
too few would be wrong.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from string import Formatter
from typing import Any, TypeGuard
from zlib import crc32

from msgspec import Struct

from fastapi_caching_route._core.asgi import Scope
from fastapi_caching_route._core.key import FRONT_BYTES, digest, escaped, shortened
from fastapi_caching_route._core.key_names import OF_KEY, is_of_key, key_name
from fastapi_caching_route._http.fields import RawHeaders, lines
from fastapi_caching_route._http.structured import strings
from fastapi_caching_route.errors import ConfigurationError

EVERYTHING = 'all'

MAX_PLAIN_TEXT = 256
"""The most characters of a text that becomes part of a name unchanged. Only for paths up to this length are the names
of their ancestors remembered (a thousand of them)."""

MAX_PATHS = 1024
"""How many paths of a route have their names remembered: some hundred kilobytes at most."""

MAX_SEGMENTS = 16
"""The most segments of a path that get a name. Deeper paths use the name of their ancestor at this depth, so that
clients cannot create any number of names."""

MAX_TAGS = 256
"""The most tags of a response that get a name each. A response with more uses the names of tag groups, because the
store reads one mark for each name."""

MAX_SHOWN = 10
"""How many names a line in the log lists, and the text of an error: one invalidation may have thousands."""

GROUPS = 256
"""The number of tag groups. A hash of the tag selects its group."""

CACHE_GROUPS, GROUP_INVALIDATION = b'cache-groups', b'cache-group-invalidation'
"""The headers of RFC 9875: the groups of a response, and those that a write invalidates."""

PathValues = Mapping[str, str]
"""Path parameters after validation, as text."""


class Named(Struct, frozen=True):
    """The names of a response, and of what they were made: long texts are cut, and end in a digest."""

    names: tuple[str, ...] = ()
    path: str = ''
    tags: tuple[str, ...] = ()


NAMELESS = Named()


class Naming:
    """Makes the names of the entries of one route."""

    __slots__ = ('_known', '_of_all', '_places', '_queries', '_tags', '_values', 'unknown')

    def __init__(
        self,
        *,
        endpoint: tuple[str, str],
        places: tuple[tuple[str, tuple[str, ...]], ...],
        namespace: str | None,
        values: Callable[[Mapping[str, Any]], PathValues],
        parameters: frozenset[str],
        tags: tuple[str, ...],
        queries: Callable[[Scope], PathValues] | None = None,
    ) -> None:
        """Take the endpoint as its module and qualified name.

        `places` are its path templates, each with its parameters: the full template, and the templates of its routes
        without the prefixes of includes. `namespace` is the full namespace if the route has its own. `values` validates
        the path `parameters`. `tags` are templates over these parameters and over those that `queries` reads of a
        request; without it, there are none.
        """
        self._places = [(_endpoint(endpoint, template), names) for template, names in places if names]
        self._values = values
        self._tags = tags
        self._queries = queries
        of_places = [endpoint_name(endpoint, template) for template, _ in places]
        self._of_all = (EVERYTHING, *of_places, *(() if namespace is None else (namespace_name(namespace),)))
        """The names that all its entries have."""
        self._known: dict[str, tuple[str, ...]] = {}
        """The names by paths, of a route without path parameters; see `_of_path`."""
        self.unknown: set[str] = {name for template in tags for name in fields_of(template)} - parameters
        """Parameters in the tags that the path does not have. The prefix of an include could have added them."""

    def names(self, scope: Scope, key: str | None, tags: Collection[str]) -> Named:
        """The names of a response to this request. `key` is the full cache key if a key builder made it."""
        path, params = path_of(scope), scope.get('path_params')
        of_path = self._of_path(path)
        path = path if len(path) <= MAX_PLAIN_TEXT else cut(path)
        if not (params or tags or self._tags) and key is None:
            return Named(of_path, path)
        found, given = [*of_path, *map(tag_name, tags)], (*tags,)
        if params or self._tags:
            values = self._values(params or {})
            tagged = values if self._queries is None else {**self._queries(scope), **values}
            filled_in = [filled(template, tagged) for template in self._tags]
            found += map(tag_name, filled_in)
            found += [
                shortened(f'{place}{_with({name: values[name] for name in names})}') for place, names in self._places
            ]
            given = (*given, *filled_in)
        if key is not None:
            found.append(key_name(key))
        return Named(tuple(dict.fromkeys(found)), path, tuple(map(cut, given)))

    def _of_path(self, path: str) -> tuple[str, ...]:
        """The names of all responses under one path. Those of recent short paths are remembered."""
        known = self._known.get(path)
        if known is None:
            known = tuple(dict.fromkeys((*self._of_all, path_name(path), *_ancestors(path))))
            if len(path) <= MAX_PLAIN_TEXT and not self._places:  # with parameters, most paths are new ones
                if len(self._known) >= MAX_PATHS:
                    self._known.clear()
                self._known[path] = known
        return known


def are_tags(tags: object) -> TypeGuard[Collection[str]]:
    """Whether this is a collection of str. A single str is a mistake: each of its characters would become a tag."""
    return isinstance(tags, (list, tuple, set, frozenset)) and (not tags or all(isinstance(tag, str) for tag in tags))


def namespace_name(namespace: str) -> str:
    """The name of all entries in a full namespace."""
    return _name('namespace', namespace)


def endpoint_name(endpoint: tuple[str, str], template: str, values: PathValues | None = None) -> str:
    """The name of all entries of an endpoint under a path template, or only of its entries with these path values.

    The template distinguishes endpoints that have the same name, such as two closures, in whatever order they were
    made.
    """
    return shortened(f'{_endpoint(endpoint, template)}{_with(values) if values else ""}')


def _endpoint(endpoint: tuple[str, str], template: str) -> str:
    return escaped(f'endpoint:{".".join(endpoint)}@{template}')


def _with(values: PathValues) -> str:
    return escaped(f'?{cut(repr(sorted(values.items())))}')


def path_name(path: str) -> str:
    """The name of all entries of one path, whatever their query, headers and credentials."""
    return _name('path', path)


def below_path_name(path: str) -> str:
    """The name of all entries whose paths continue this one with further segments."""
    segments = path.rstrip('/').split('/')
    below = '/'.join(segments[: MAX_SEGMENTS + 1])
    return _name('below', below) if below else EVERYTHING


def function_name(function: str) -> str:
    """The name of all results of a function, which is given as its module and qualified name."""
    return _name('function', function)


def tag_name(tag: str) -> str:
    """The name of all entries with this tag."""
    return _name('tag', tag)


def names_of_tags(tags: Iterable[str]) -> list[str]:
    """The names to invalidate for these tags: those of the tags and, for entries with many tags, of their groups."""
    own = list(map(tag_name, tags))
    return [*own, *dict.fromkeys(map(_group, own))]


def names_without_namespace(names: Sequence[str]) -> tuple[str, ...]:
    """The names to invalidate while the namespace of the backend is unknown: everything, if one of them contains it."""
    return (EVERYTHING,) if any(is_of_key(it) or it.startswith('namespace:') for it in names) else tuple(names)


def coarser(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of an entry. If it has more than `MAX_TAGS` tags, the names of tag groups replace the names of tags."""
    if len(names) <= MAX_TAGS or sum(map(_is_of_tag, names)) <= MAX_TAGS:
        return names
    return tuple(dict.fromkeys(_group(name) if _is_of_tag(name) else name for name in names))


def _is_of_tag(name: str) -> bool:
    return name.startswith('tag:')


def _group(name: str) -> str:
    return f'tags:{crc32(name.encode("ascii")) % GROUPS}'


def _name(kind: str, text: str) -> str:
    return shortened(f'{kind}:{escaped(text)}') if len(text) <= MAX_PLAIN_TEXT else f'{kind}:{cut(text)}'


def cut(text: str) -> str:
    """The text itself. If it is long, its first characters and a digest: escaping all of a long text is slow."""
    return text if len(text) <= MAX_PLAIN_TEXT else f'{escaped(text[:FRONT_BYTES])[:FRONT_BYTES]}%~{digest(text)}'


def in_public(names: Sequence[str]) -> tuple[str, ...]:
    """The names for observers: without groups of tags; of a key, which a `key_builder` may have made, a digest."""
    own = [it for it in names if not it.startswith('tags:')]
    return tuple(f'{OF_KEY}{digest(it)}' if is_of_key(it) else it for it in own)


def shown(names: Sequence[str]) -> str:
    """Some of the names, for the log and for errors, as observers get them."""
    found = in_public(names) or names
    more = len(found) - MAX_SHOWN
    return ', '.join(found[:MAX_SHOWN]) + (f' and {more} more' if more > 0 else '')


def names_of_key(full_key: str, namespace: str | None) -> tuple[str, ...]:
    """The names of an entry that user code stores under a key, without a request. The name of its key is the last."""
    return (EVERYTHING, *([] if namespace is None else [namespace_name(namespace)]), key_name(full_key))


def groups_of(scope: Scope, headers: RawHeaders, name: bytes) -> list[str]:
    """The tags for the groups that a response names in this header: of one origin each (RFC 9875 §2)."""
    if name not in dict(headers):
        return []
    host = b','.join(lines(scope['headers'], b'host')).decode('latin-1').lower()
    scheme = scope.get('scheme', 'http')
    host = host.removesuffix(':443' if scheme == 'https' else ':80')  # the usual port is the same origin
    origin = f'{scheme}://{host}'
    return [f'{origin} {group}' for group in strings(lines(headers, name)) or ()]


def path_of(scope: Scope) -> str:
    """The path of a request as the routes of the outermost app see it: decoded, and without the prefix of a proxy."""
    path: str = scope['path']
    root: str = scope.get('app_root_path', scope.get('root_path', '')).rstrip('/')
    return path[len(root) :] if root and path.startswith(f'{root}/') else path


def _ancestors(path: str) -> tuple[str, ...]:
    """For each ancestor of a path, the name of all entries below that ancestor."""
    parent = path.rpartition('/')[0]
    return _short_ancestors(parent) if len(parent) <= MAX_PLAIN_TEXT else _all_ancestors(parent)


@lru_cache(1024)
def _short_ancestors(parent: str) -> tuple[str, ...]:
    """The same, remembered: entries with the same parent path share one tuple."""
    return _all_ancestors(parent)


def _all_ancestors(parent: str) -> tuple[str, ...]:
    segments = parent.split('/')
    return tuple(
        below_path_name('/'.join(segments[:depth])) for depth in range(2, min(len(segments), MAX_SEGMENTS + 1) + 1)
    )


def fields_of(template: str) -> set[str]:
    """The parameters in a template: `user_id` in `user:{user_id}`.

    Raises:
        ConfigurationError: it is not a template of this form.

    """
    fields = set()
    try:
        for _, field, spec, conversion in Formatter().parse(template):
            if field is not None:
                fields.add(field)
            if (field is not None and not field.isidentifier()) or spec or conversion:
                raise ValueError  # noqa: TRY301, both failures have the same message
    except (ValueError, TypeError):
        msg = f"{template!r} is not a template with names of parameters in braces, like 'user:{{user_id}}'"
        raise ConfigurationError(msg) from None
    return fields


def filled(template: str, values: PathValues) -> str:
    """The template with path values in place of its parameters."""
    return template.format_map(values) if '{' in template or '}' in template else template
