"""`SurrogateKeys`: the tags of responses, in the header by which a CDN or another cache in front finds them.

Pure: knows names and headers, and neither stores nor requests.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from typing_extensions import Doc

from fastapi_caching_route._core.checks import check_flag, check_size, field_name
from fastapi_caching_route._core.key import digest, escaped
from fastapi_caching_route._core.names import EVERYTHING, in_public
from fastapi_caching_route._http.fields import Field, RawHeaders, lines, without
from fastapi_caching_route.errors import ConfigurationError

_NO_TOKEN = re.compile(r"[^!#$%&'*+.^_`|~0-9A-Za-z-]")
_SEPARATED = re.compile(r'[,"\\]')
_EMPTY = '%'
"""Stands for an empty tag, which no cache in front takes. No other tag is like this."""
DIGITS = 16
"""Hex digits that stand for the rest of a tag that is too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SurrogateKeys:
    """The header that sends the tags of a response to a cache in front, and its limits.

        FastAPICache(surrogate_keys='Surrogate-Key')
        FastAPICache(surrogate_keys=SurrogateKeys(header='X-Tags', separator=','))

    Each response that is stored gets the tag of its endpoint first, then its own tags, then its path and the other
    names by which it can be invalidated. If they do not fit into the header, the last ones are cut.

    Raises:
        ConfigurationError: the header is no header name, or a limit is too small.

    """

    header: Annotated[str, Doc('The name of the header.')]
    separator: Annotated[Literal[' ', ','], Doc('The separator between two tags.')] = ' '
    quoted: Annotated[bool, Doc('Whether it is a list of quoted strings, as `Cache-Groups` is (RFC 9875).')] = False
    only_tokens: Annotated[bool, Doc('Whether characters that are in no token (RFC 9110 §5.6.2) are encoded.')] = False
    max_tags: Annotated[int, Doc('The most tags.')] = 1000
    max_tag_bytes: Annotated[int, Doc('The longest tag; of a longer one, the rest is replaced by a digest.')] = 1024
    max_bytes: Annotated[int, Doc('The most bytes of the value.')] = 16_384
    prefix: Annotated[str, Doc('Begins each tag, where several apps share one CDN.')] = ''

    def __post_init__(self) -> None:
        """Check the values."""
        field_name('header', self.header)
        for option in ('quoted', 'only_tokens'):
            check_flag(option, getattr(self, option))
        for option, least in (('max_tags', 1), ('max_tag_bytes', 2 * DIGITS), ('max_bytes', 2 * DIGITS)):
            size = getattr(self, option)
            check_size(option, size)
            if size < least:
                msg = f'{option} must be {least} or more, got {size!r}'
                raise ConfigurationError(msg)
        if self.separator not in (' ', ','):
            msg = f"separator must be ' ' or ',', got {self.separator!r}"
            raise ConfigurationError(msg)
        if not isinstance(self.prefix, str) or self.prefix != escaped(self.prefix):
            msg = f'prefix must be a str of printable ASCII without blanks, got {self.prefix!r}'
            raise ConfigurationError(msg)

    def tags(self, names: Sequence[str]) -> list[str]:
        """The tags for these names, as they are in the header; the most important first."""
        return self.tags_of_public(in_public(names))

    def tags_of_public(self, names: Sequence[str]) -> list[str]:
        """The same for names as observers get them: those of keys are digests by then."""
        return list(dict.fromkeys(map(self._tag, sorted(names, key=_rank))))

    def _tag(self, name: str) -> str:
        text = self.prefix + name.removeprefix('tag:')
        unfit = _NO_TOKEN if self.only_tokens else _SEPARATED
        text = unfit.sub(lambda found: f'%{ord(found[0]):02X}', text) or _EMPTY
        if len(text) <= self.max_tag_bytes:
            return text
        return f'{text[: self.max_tag_bytes - DIGITS - 1]}~{digest(text)[:DIGITS]}'

    def added(self, headers: RawHeaders, names: Sequence[str]) -> tuple[list[Field], bool]:
        """The headers with these tags, and whether some had to be cut. Tags that were there already stay."""
        name = self.header.lower().encode('ascii')
        given = b' '.join(lines(headers, name)).decode('latin-1')
        own = [it.strip(' "') for it in re.split('[ ,]' if self.separator == ' ' else ',', given)]
        value, is_cut = self.written([*self.tags(names), *filter(None, own)])
        return [*without(headers, (name,)), (name, value)], is_cut

    def invalidation(self, tags: Sequence[str]) -> bytes:
        """The value that names all of these tags; the tag that all responses have, if they do not fit."""
        value, is_cut = self.written(tags)
        return self.written(self.tags([EVERYTHING]))[0] if is_cut else value

    def written(self, tags: Sequence[str]) -> tuple[bytes, bool]:
        """The value with these tags, and whether some had to be cut."""
        each = [f'"{tag}"' if self.quoted else tag for tag in dict.fromkeys(tags)]
        between = ', ' if self.quoted else self.separator
        fitting: list[str] = []
        size = 0
        for tag in each[: self.max_tags]:
            size += len(tag) + len(between)
            if size - len(between) > self.max_bytes:
                break
            fitting.append(tag)
        return between.join(fitting).encode('latin-1'), len(fitting) < len(each)


_RANKS = ('endpoint:', 'all', 'tag:', 'path:', 'namespace:', 'key:', 'below:')


def _rank(name: str) -> int:
    """The place of a name: its endpoint comes first, so that a purge of that reaches every response."""
    if name.startswith('endpoint:') and '%3F' in name:  # of these path values alone
        return _RANKS.index('path:')
    return next(number for number, kind in enumerate(_RANKS) if name.startswith(kind))


KNOWN = {
    it.header.lower(): it
    for it in (
        SurrogateKeys(header='Surrogate-Key'),
        SurrogateKeys(header='xkey'),
        SurrogateKeys(header='Cache-Tag', separator=','),
        SurrogateKeys(header='Edge-Cache-Tag', separator=',', only_tokens=True, max_tags=128, max_tag_bytes=128),
        SurrogateKeys(header='Cache-Groups', separator=',', quoted=True, max_tags=32, max_tag_bytes=32),
    )
}
"""The forms and limits of Fastly, Varnish, Cloudflare, Akamai and RFC 9875 (§2: 32 groups of 32 characters)."""


def checked_surrogates(given: object) -> SurrogateKeys | None:
    """The header for tags; a str is one of the known ones.

    Raises:
        ConfigurationError: it is not known.

    """
    known = KNOWN.get(given.lower()) if isinstance(given, str) else given
    if given is None:
        return None
    if not isinstance(known, SurrogateKeys):
        names = ', '.join(repr(it.header) for it in KNOWN.values())
        msg = f"surrogate_keys must be one of {names}, or SurrogateKeys(header='...'), got {given!r}"
        raise ConfigurationError(msg)
    return known
