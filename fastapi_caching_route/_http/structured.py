"""Structured-field dictionaries (RFC 9651 §4.2.2), as far as CDN-Cache-Control needs them (RFC 9213 §2.1)."""

import re
from collections.abc import Iterable
from typing import Any

from fastapi_caching_route._http.cache_control import Directives

_KEY = r'[a-z*][a-z0-9_.*-]*'
_ITEM = (
    r'-?\d{1,12}\.\d{1,3}|-?\d{1,15}'  # a decimal, an integer
    r'|"(?:[ !#-\[\]-~]|\\["\\])*"'  # a string
    r'|[A-Za-z*][!#$%&\'*+.^_`|~0-9A-Za-z:/-]*'  # a token
    r'|:[A-Za-z0-9+/=]*:'  # bytes
    r'|\?[01]'  # a boolean
    r'|@-?\d{1,15}'  # a date
    r'|%"(?:[ !#$&-~]|%[0-9a-f]{2})*"'  # a display string
)
_PARAMETERS = rf'(?:; *{_KEY}(?:=(?:{_ITEM}))?)*'
_INNER_LIST = rf'\( *(?:(?:{_ITEM}){_PARAMETERS}(?: +|(?=\))))*\)'
_MEMBER = re.compile(rf'(?P<key>{_KEY})(?:=(?P<item>{_ITEM}|{_INNER_LIST}))?{_PARAMETERS}')
_LISTED = re.compile(rf'(?P<item>{_ITEM}|{_INNER_LIST}){_PARAMETERS}')
_ESCAPED = re.compile(r'\\(.)')
_COMMA = re.compile(r'[ \t]*,[ \t]*')
_INTEGER = re.compile(r'-?\d{1,15}')

_FLAGS = ('no-store', 'no-cache', 'private', 'public', 'must-revalidate', 'proxy-revalidate', 'must-understand')
_SPANS = ('max-age', 's-maxage', 'stale-while-revalidate', 'stale-if-error')


def targeted_directives(values: Iterable[bytes]) -> Directives | None:
    """The directives of a targeted field; None if it is no dictionary, or empty: then the field is ignored.

    A directive of the wrong type is ignored by itself (RFC 9213 §2.1).
    """
    members = dictionary(b', '.join(values).decode('latin-1'))
    if not members:
        return None
    flags: dict[str, Any] = {key.replace('-', '_'): members.get(key) == '?1' for key in _FLAGS}
    spans: dict[str, Any] = {
        key.replace('-', '_'): max(0, int(members[key])) for key in _SPANS if _INTEGER.fullmatch(members.get(key, ''))
    }
    named = [members.get(key, '').strip('"') for key in ('no-cache', 'private') if members.get(key, '').startswith('"')]
    fields = frozenset(field.strip().lower().encode('latin-1') for it in named for field in it.split(','))
    return Directives(**flags, **spans, unstored_fields=fields - {b''})


def strings(values: Iterable[bytes]) -> list[str] | None:
    """The strings of a list (RFC 9651 §4.2.1), without other members; None if it is invalid."""
    found: list[str] = []
    text, at = b', '.join(values).decode('latin-1').strip(' '), 0
    while at < len(text):
        member = _LISTED.match(text, at)
        if member is None:
            return None
        if member['item'].startswith('"'):
            found.append(_ESCAPED.sub(r'\1', member['item'][1:-1]))
        at = member.end()
        if at == len(text):
            return found
        comma = _COMMA.match(text, at)
        if comma is None or comma.end() == len(text):
            return None
        at = comma.end()
    return found


def dictionary(text: str) -> dict[str, str] | None:
    """The members of a dictionary, each item as text; None if it is invalid. The last member of a key counts."""
    members: dict[str, str] = {}
    text = text.strip(' ')
    at = 0
    while at < len(text):
        found = _MEMBER.match(text, at)
        if found is None:
            return None
        members[found['key']] = found['item'] or '?1'
        at = found.end()
        if at == len(text):
            return members
        comma = _COMMA.match(text, at)
        if comma is None or comma.end() == len(text):
            return None
        at = comma.end()
    return members
