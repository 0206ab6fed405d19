"""The parts of a request that a route reads: everything that its endpoint and all its dependencies declare."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from secrets import token_hex
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.params import Form
from starlette.datastructures import QueryParams

from fastapi_caching_route._core.asgi import Parts
from fastapi_caching_route._core.inputs import NOT_IN_RAW_KEYS, Inputs
from fastapi_caching_route._core.read_names import AUTH, PERSONAL_HEADERS, SESSION, USER, Reading
from fastapi_caching_route._fastapi.effective import Overrides, overridden, tree
from fastapi_caching_route._fastapi.key_parts import KeyParts, cookies_in, header_names_of, reader
from fastapi_caching_route._fastapi.key_rules import KeyRules
from fastapi_caching_route._fastapi.nodes import SeenNodes, deciding_nodes, seen_in
from fastapi_caching_route._fastapi.parameters import Parameters
from fastapi_caching_route._fastapi.security import PERSONAL, Credential, decides_unseen, takes_the_request
from fastapi_caching_route._http.conditional import OF_ONE_CLIENT

_PROCESS = token_hex(8)
_serials = count()
AUTHORIZATION = Credential('header', 'authorization')


def declared_inputs(
    route: Dependant,
    explicit: Sequence[Dependant],
    guards: Sequence[Dependant],
    overrides: Overrides,
    rules: KeyRules,
    *,
    tagging: Sequence[Dependant] = (),
) -> Inputs:
    """The inputs that the route and the explicit dependencies declare, with overrides applied.

    `guards` are the dependencies of the route that run on hits. `tagging` gives the tags: entries with other tags must
    be other entries.
    """
    before = [overridden(it, overrides) for it in explicit]
    naming = [overridden(it, overrides) for it in tagging]
    seen = seen_in([route, *before, *naming], overrides)
    own, of_guards = deciding_nodes(route, guards, overrides) if rules.shared else (seen.nodes, [])
    if rules.shared:
        own = [*own, *seen_in(naming, overrides).nodes]
    parts = _key_parts(own, of_guards, () if rules.shared else seen.handed, rules)
    early = seen_in(before, overrides).nodes if rules.early else []
    trees = [[*tree(overridden(it, overrides), overrides)] for it in (*guards, *before)]
    declared = _Declared(rules, seen, [*own, *of_guards], early, parts, trees)
    return _inputs(declared, serial_of(overrides))


@dataclass(frozen=True, slots=True)
class _Declared:
    """The declarations of a route and of the explicit dependencies, for its key."""

    rules: KeyRules
    seen: SeenNodes
    nodes: Sequence[Dependant]
    """The nodes whose inputs are in the key."""
    early: Sequence[Dependant]
    """Those of explicit dependencies that run before the key is made, where nothing is noted."""
    parts: KeyParts
    guards: Sequence[Sequence[Dependant]]
    """The nodes of each dependency that runs on hits."""

    @property
    def reads_body(self) -> bool:
        return self.is_query or any(node.body_params for node in self.nodes)

    @property
    def deciding(self) -> frozenset[bytes] | None:
        """The headers that decide the key with the request line and the body; None if more is in it."""
        if self.raw or self.rules.guards_select or self.rules.extended or self.is_query:
            return None
        deciding = self.parts.deciding_headers(reads_body=self.reads_body)
        return deciding | {b'host'} if deciding is not None and self.rules.host else deciding

    @property
    def is_query(self) -> bool:
        """Whether a QUERY may be answered by code that takes the raw request: its content is in the key."""
        return self.rules.queries and self.reading.takes_request

    @property
    def takes_request(self) -> bool:
        return any(takes_the_request(node) for node in self.nodes)

    @property
    def raw(self) -> bool:
        """Whether the whole raw request is in the key: it is read where nobody can see what."""
        if self.rules.reads != 'noted':
            return self.rules.reads == 'all' and (self.rules.raw or self.takes_request)
        early = [node.call for node in self.early if takes_the_request(node)]
        return self.rules.raw or any(not self.rules.shared or node.call in early for node in self.nodes if early)

    @property
    def is_noted(self) -> bool:
        """Whether reads are noted. An exception handler or a response class may read where no dependency does."""
        return self.rules.reads != 'declared' and not self.raw

    @property
    def reading(self) -> Reading:
        personal = (SESSION, USER, AUTH, *(f'header:{it.decode("latin-1")}' for it in self._personal_headers))
        return Reading(
            cookies=cookies_in,
            query=QueryParams,
            schemes=tuple(self.seen.schemes),
            # The endpoint never gets the preconditions of a client that the cache answers.
            left_out=self.rules.left_out | {it.encode('ascii') for it in self.rules.answered},
            covered=self.parts.whole_headers,
            by_identity=frozenset(personal) if self.is_noted and self.rules.shared else frozenset(),
            is_of_lifespan=self.rules.is_of_lifespan,
            takes_request=self.is_noted and self.takes_request,
        )

    @property
    def _personal_headers(self) -> set[bytes]:
        return {*PERSONAL_HEADERS, *header_names_of(self.schemes)}

    @property
    def schemes(self) -> list[Credential]:
        return [*self.seen.handed, *self.seen.checked]

    @property
    def left_out(self) -> frozenset[bytes]:
        """Request headers that are not in the key although the route takes the raw request."""
        return self.rules.left_out | (self._personal_headers if self.rules.shared else frozenset())

    @property
    def selecting(self) -> tuple[bytes, ...]:
        """The request headers for Vary: those in the key, and those from which guards decide whether to accept.

        Where something unnamed may depend on the client, its credentials are among them: a browser must not show one of
        two users what it keeps for the other.
        """
        cookie = (b'cookie',) if self.parts.cookies else ()
        in_key = (*self.parts.header_names, *cookie, *header_names_of(self.parts.credentials))
        sees_all = (self.raw or self.parts.has_any_headers) and not self.rules.shared
        by_callable = self.rules.shared and self.rules.guards_select
        has_unnamed = sees_all or by_callable or self.rules.extended
        credentials = sorted(PERSONAL_HEADERS - self.rules.left_out) if has_unnamed else ()
        return tuple(dict.fromkeys((*in_key, *self._of_guards(), *self.rules.vary, *credentials)))

    def _of_guards(self) -> list[bytes]:
        if not self.rules.shared:
            return header_names_of(self.seen.checked)
        if not self.rules.guards_select:
            return []
        headers = Parameters('header', _header_params(self.seen.nodes), self.rules.answered)
        cookie = [b'cookie'] if any(node.cookie_params for node in self.seen.nodes) else []
        return [*headers.field_names, *cookie, *header_names_of(self.schemes)]

    @property
    def conditions(self) -> frozenset[bytes]:
        """The preconditions and ranges that the endpoint reads as the client sent them."""
        read = self.parts.known_headers | (OF_ONE_CLIENT - self.left_out if self.raw else frozenset())
        return frozenset(declared_conditions(self.nodes, self.rules.answered)) | (OF_ONE_CLIENT & read)

    @property
    def unsaid(self) -> tuple[str, ...]:
        """The inputs that affect the response and that neither the URL nor Vary names: the rule for caches in front.

        They get `private` if there is one. `public` of the route says that it does not matter which requests the guards
        accept, or skip the cache.
        """
        rules = self.rules
        return (
            *(('the raw request',) if self.raw else ()),
            *(('all headers',) if self.parts.has_any_headers else ()),
            *(() if self.parts.shared else ('credentials or cookies',)),
            *rules.named_by,
            *(('the value from key',) if rules.extended else ()),
            *(('the body',) if rules.gets and any(node.body_params for node in self.nodes) else ()),
            *(('which clients the guards accept',) if self._guards_are_unsaid and not rules.public else ()),
            *(('which requests skip the cache',) if rules.skips and not rules.public else ()),
        )

    @property
    def _guards_are_unsaid(self) -> bool:
        """Whether something decides which clients the guards accept that is neither in Vary nor noted."""
        if self.rules.shared:
            return bool(self.guards)
        return any(decides_unseen(it, is_noted=self.rules.reads != 'declared') for it in self.guards)

    @property
    def in_words(self) -> tuple[str, ...]:
        """The parts of the key, in words."""
        return (
            *self.parts.in_words(),
            *(('the body',) if self.reads_body else ()),
            *(('the whole raw request, except for not_in_key',) if self.raw else ()),
            *(('what code reads of the raw request',) if self.reading.takes_request else ()),
            *self.rules.named_by,
            *(('scheme and host',) if self.rules.host else ()),
            *(('the value from key',) if self.rules.extended else ()),
        )


def _inputs(declared: _Declared, serial: Parts) -> Inputs:
    rules, parts, raw, known = declared.rules, declared.parts, declared.raw, declared.parts.known_headers
    return Inputs(
        read=reader(parts),
        selecting=declared.selecting,
        known=known,
        cookies=parts.cookies_are_in_key,
        whole=parts.whole_headers,
        authorization_covered=rules.shared or AUTHORIZATION in declared.schemes or b'authorization' in known,
        deciding=declared.deciding,
        reads_query=parts.reads_query,
        reads_texts=parts.query.has_texts,
        body_in_key=declared.reads_body,
        form=not raw and _are_form_fields(declared.seen.nodes),
        json=rules.json,
        host=rules.host,
        declared=True,
        conditions=declared.conditions,
        shared=parts.shared,
        unsaid=declared.unsaid,
        raw=raw,
        reading=declared.reading,
        noted=declared.is_noted,
        accounted=rules.reads != 'all' and not raw,
        bypass_if_personal=not rules.shared,
        left_out=declared.left_out,
        left_out_in_words=_left_out_in_words(declared.left_out) if raw else (),
        in_words=declared.in_words,
        fingerprint=(*parts.fingerprint, rules.shared, rules.host, rules.json, rules.extended, rules.equal, serial),
    )


def _are_form_fields(nodes: Iterable[Dependant]) -> bool:
    """Whether only form fields of the body are declared, and at least one."""
    fields = [it.field_info for node in nodes for it in node.body_params]
    return bool(fields) and all(isinstance(it, Form) for it in fields)


def _key_parts(
    own: Sequence[Dependant], of_guards: Sequence[Dependant], handed: Collection[Credential], rules: KeyRules
) -> KeyParts:
    """The parts of the key that these nodes and those of guards declare."""
    return KeyParts(
        query=Parameters('query', [it for node in (*own, *of_guards) for it in node.query_params], equal=rules.equal),
        headers=Parameters('header', _header_params(own), rules.answered, equal=rules.equal),
        headers_of_guards=Parameters('header', _header_params(of_guards), rules.answered | PERSONAL),
        cookies=Parameters('cookie', [it for node in own for it in node.cookie_params], equal=rules.equal),
        vary=rules.vary,
        credentials=tuple(handed),
    )


def _header_params(nodes: Iterable[Dependant]) -> list[Any]:
    return [it for node in nodes for it in node.header_params]


def declared_conditions(nodes: Iterable[Dependant], answered: Collection[str] = ()) -> list[bytes]:
    """The preconditions and ranges that the nodes declare or can read, without those that the cache handles."""
    headers = Parameters('header', _header_params(nodes))
    read = [name for name in OF_ONE_CLIENT if headers.may_read(name.decode('ascii'))]
    return [name for name in read if name.decode('ascii') not in answered]


def _left_out_in_words(left_out: Collection[bytes]) -> tuple[str, ...]:
    return (*(f'header {it.decode("ascii")}' for it in sorted(left_out)), *NOT_IN_RAW_KEYS)


def serial_of(overrides: Overrides) -> Parts:
    """The part of a key that is new whenever overrides change, so that no entry outlives them; () without overrides.

    The names of the overriding functions cannot identify them: all lambdas have the same name.
    """
    return (_PROCESS, next(_serials)) if overrides else ()
