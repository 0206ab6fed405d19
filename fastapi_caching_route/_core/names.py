"""What entries can be invalidated by: their names.

Pure. A name is a printable text of at most 200 characters, however long the thing is that clients have named: what is longer ends in
a digest of the whole. Two things of one kind have one name only if they are the same, except where the kind says otherwise: to invalidate too much costs a run of the endpoint, to invalidate too little is a lie.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from string import Formatter
from typing import Any, TypeGuard
from zlib import crc32

from fastapi_caching_route._core.asgi import Scope
from fastapi_caching_route._core.key import FRONT_BYTES, digest, escaped, shortened
from fastapi_caching_route.errors import ConfigurationError

EVERYTHING = 'all'

MAX_PLAIN_TEXT = 256
"""Characters of a text that stands in a name as it is, and of a path whose ancestors are remembered, of a thousand such paths."""

MAX_SEGMENTS = 16
"""Of a path: what is deeper shares the name of its ancestor there, so that no client makes names without end."""

MAX_TAGS = 256
"""Of a response. One with more has the names of their groups instead: each name is a mark in the store, that is read with it."""

GROUPS = 256
"""Groups of tags, by a hash of the tag."""

PathValues = Mapping[str, str]
"""Path parameters after validation, as text."""


class Naming:
    """How the entries of one route get their names."""

    __slots__ = ('_endpoint', '_of_all', '_places', '_tags', '_values', 'unknown')

    def __init__(
        self,
        *,
        endpoint: tuple[str, str],
        places: tuple[tuple[str, tuple[str, ...]], ...],
        namespace: str | None,
        values: Callable[[Mapping[str, Any]], PathValues],
        parameters: frozenset[str],
        tags: tuple[str, ...],
    ) -> None:
        """Names of an endpoint, by module and qualified name.

        `places` are its path templates, each with its parameters: the whole one, and those of its routes without the prefix
        of an include. `namespace` is the full one, where the route has one of its own; `values` validates its path
        `parameters`; `tags` are templates over them.
        """
        self._endpoint = endpoint
        self._places = [place for place in places if place[1]]
        self._values = values
        self._tags = tags
        of_places = [endpoint_name(endpoint, template) for template, _ in places]
        self._of_all = (EVERYTHING, *of_places, *(() if namespace is None else (namespace_name(namespace),)))
        """The names that all its entries have."""
        self.unknown: set[str] = {name for template in tags for name in fields_of(template)} - parameters
        """Parameters in the tags that are not in the path: an include might have had them in its prefix, and has not."""

    def names(self, scope: Scope, key: str | None, tags: Collection[str]) -> tuple[str, ...]:
        """The names of an answer to this request; `key` is its full one where the user has built it."""
        path = path_of(scope)
        found = [*self._of_all, path_name(path), *_ancestors(path), *map(tag_name, tags)]
        params = scope.get('path_params')
        if params or self._tags:
            values = self._values(params or {})
            found += [tag_name(filled(template, values)) for template in self._tags]
            found += [
                endpoint_name(self._endpoint, template, {name: values[name] for name in names})
                for template, names in self._places
            ]
        if key is not None:
            found.append(key_name(key))
        return tuple(dict.fromkeys(found))


def are_tags(tags: object) -> TypeGuard[Collection[str]]:
    """Whether these are several texts; a single one is a mistake, and would be read as its letters."""
    return isinstance(tags, (list, tuple, set, frozenset)) and (not tags or all(isinstance(tag, str) for tag in tags))


def namespace_name(namespace: str) -> str:
    """The name of all entries in a full namespace."""
    return _name('namespace', namespace)


def endpoint_name(endpoint: tuple[str, str], template: str, values: PathValues | None = None) -> str:
    """The name of all entries of an endpoint below a path template, or of those with these path values.

    Endpoints of one name that differ by what they hold are told apart by their paths, in whatever order they were made.
    """
    with_values = f'?{_short(repr(sorted(values.items())))}' if values else ''
    return shortened(escaped(f'endpoint:{".".join(endpoint)}@{template}{with_values}'))


def path_name(path: str) -> str:
    """The name of all entries of one path: of every query, header and credential."""
    return _name('path', path)


def below_path_name(path: str) -> str:
    """The name of all entries of the paths that go on below this one, at the boundary of a segment."""
    segments = path.rstrip('/').split('/')
    below = '/'.join(segments[: MAX_SEGMENTS + 1])
    return _name('below', below) if below else EVERYTHING


def tag_name(tag: str) -> str:
    """The name of all entries with this tag."""
    return _name('tag', tag)


def names_of_tags(tags: Iterable[str]) -> list[str]:
    """What an invalidation of these tags ends: the entries with one of them, and those with very many, by their groups."""
    own = list(map(tag_name, tags))
    return [*own, *dict.fromkeys(map(_group, own))]


def coarser(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of an entry, with the groups of its tags in place of the tags if there are more than `MAX_TAGS`."""
    if len(names) <= MAX_TAGS or sum(map(_is_of_tag, names)) <= MAX_TAGS:
        return names
    return tuple(dict.fromkeys(_group(name) if _is_of_tag(name) else name for name in names))


def _is_of_tag(name: str) -> bool:
    return name.startswith('tag:')


def _group(name: str) -> str:
    return f'tags:{crc32(name.encode("ascii")) % GROUPS}'


def _name(kind: str, text: str) -> str:
    return shortened(f'{kind}:{escaped(text)}') if len(text) <= MAX_PLAIN_TEXT else f'{kind}:{_short(text)}'


def _short(text: str) -> str:
    """The text itself or, where it is long, its front and a digest of the whole: to escape all of it takes long."""
    return text if len(text) <= MAX_PLAIN_TEXT else f'{escaped(text[:FRONT_BYTES])[:FRONT_BYTES]}%~{digest(text)}'


def key_name(full_key: str) -> str:
    """The name of the entries under one full key."""
    return shortened(f'key:{full_key}')


def names_of_key(full_key: str, namespace: str | None) -> tuple[str, ...]:
    """The names of an entry that came from no request; the one of its key is the last."""
    return (EVERYTHING, *([] if namespace is None else [namespace_name(namespace)]), key_name(full_key))


def path_of(scope: Scope) -> str:
    """The path of a request as the routes of the outermost app know it: decoded, and without what a proxy has added."""
    path: str = scope['path']
    root: str = scope.get('app_root_path', scope.get('root_path', '')).rstrip('/')
    return path[len(root) :] if root and path.startswith(f'{root}/') else path


def _ancestors(path: str) -> tuple[str, ...]:
    """The names of all entries below each of the paths above this one."""
    parent = path.rpartition('/')[0]
    return _short_ancestors(parent) if len(parent) <= MAX_PLAIN_TEXT else _all_ancestors(parent)


@lru_cache(1024)
def _short_ancestors(parent: str) -> tuple[str, ...]:
    """The same for all that have the same parent, whose entries then share them."""
    return _all_ancestors(parent)


def _all_ancestors(parent: str) -> tuple[str, ...]:
    segments = parent.split('/')
    return tuple(
        below_path_name('/'.join(segments[:depth])) for depth in range(2, min(len(segments), MAX_SEGMENTS + 1) + 1)
    )


def fields_of(template: str) -> set[str]:
    """The parameters that a template names: `{user_id}` in `user:{user_id}`.

    Raises:
        ConfigurationError: it is not a template of that form.

    """
    fields = set()
    try:
        for _, field, spec, conversion in Formatter().parse(template):
            if field is not None:
                fields.add(field)
            if (field is not None and not field.isidentifier()) or spec or conversion:
                raise ValueError  # noqa: TRY301, said once for both
    except (ValueError, TypeError):
        msg = f"{template!r} is not a template with names of path parameters in braces, like 'user:{{user_id}}'"
        raise ConfigurationError(msg) from None
    return fields


def filled(template: str, values: PathValues) -> str:
    """The template with path values in their places."""
    return template.format_map(values) if '{' in template or '}' in template else template
