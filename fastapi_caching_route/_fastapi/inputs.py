"""The parts of a request that a route reads: everything that its endpoint and all its dependencies declare."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from secrets import token_hex
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.params import Form

from fastapi_caching_route._core.asgi import Parts
from fastapi_caching_route._core.inputs import NOT_IN_RAW_KEYS, Inputs
from fastapi_caching_route._fastapi.effective import Overrides, overridden, tree
from fastapi_caching_route._fastapi.key_parts import KeyParts, header_names_of, readers
from fastapi_caching_route._fastapi.parameters import Parameters
from fastapi_caching_route._fastapi.security import PERSONAL, Credential, credential, takes_the_request
from fastapi_caching_route._http.conditional import OF_ONE_CLIENT

_PROCESS = token_hex(8)
_serials = count()
_OWN_INPUTS = (
    *('path_params', 'query_params', 'header_params', 'cookie_params', 'body_params'),
    *('call', 'request_param_name', 'http_connection_param_name'),
)
_AUTHORIZATION = Credential('header', 'authorization')


@dataclass(frozen=True, slots=True)
class KeyRules:
    """The options of a route that affect its key, besides its declarations."""

    vary: tuple[bytes, ...]
    """Further request headers that are in the key."""
    left_out: frozenset[bytes]
    """Request headers that are not in the key of a route that takes the raw request."""
    raw: bool
    """Whether the route reads the request in a way that no declaration shows."""
    shared: bool
    """Whether credentials and the inputs of guards are not in the key, because `identity` chooses which clients
    share."""
    answered: frozenset[str]
    """Request headers that the endpoint never receives from the client, because the cache handles them."""
    public: bool
    """Whether the route itself lets caches in front share its responses, whatever clients the guards accept."""
    guards_select: bool
    """Whether responses may depend on credentials and inputs of guards nevertheless, through an `identity` callable."""


@dataclass(slots=True)
class _Seen:
    """The nodes and credentials in a tree of dependencies."""

    nodes: list[Dependant] = field(default_factory=list)
    handed: list[Credential] = field(default_factory=list)
    """Credentials whose values user code receives."""
    checked: list[Credential] = field(default_factory=list)
    """Credentials that a scheme checks and passes to no code."""


def declared_inputs(
    route: Dependant,
    explicit: Sequence[Dependant],
    guards: Sequence[Dependant],
    overrides: Overrides,
    rules: KeyRules,
) -> Inputs:
    """The inputs that the route and the explicit dependencies declare, with overrides applied.

    `guards` are the dependencies of the route that run on hits.
    """
    seen = _seen([route, *(overridden(it, overrides) for it in explicit)], overrides)
    own, of_guards = _deciding(route, guards, overrides) if rules.shared else (seen.nodes, [])
    parts = _key_parts(own, of_guards, () if rules.shared else seen.handed, rules)
    declared = _Declared(rules, seen, [*own, *of_guards], parts, has_guards=bool(guards or explicit))
    return _inputs(declared, _serial(overrides))


@dataclass(frozen=True, slots=True)
class _Declared:
    """The declarations of a route and of the explicit dependencies, for its key."""

    rules: KeyRules
    seen: _Seen
    nodes: Sequence[Dependant]
    """The nodes whose inputs are in the key."""
    parts: KeyParts
    has_guards: bool

    @property
    def reads_body(self) -> bool:
        return any(node.body_params for node in self.nodes)

    @property
    def raw(self) -> bool:
        return self.rules.raw or any(takes_the_request(node) for node in self.nodes)

    @property
    def schemes(self) -> list[Credential]:
        return [*self.seen.handed, *self.seen.checked]

    @property
    def left_out(self) -> frozenset[bytes]:
        """Request headers that are not in the key although the route takes the raw request."""
        personal = {b'authorization', b'cookie', *header_names_of(self.schemes)}
        return self.rules.left_out | (personal if self.rules.shared else frozenset())

    @property
    def selecting(self) -> tuple[bytes, ...]:
        """The request headers for Vary: those in the key, and those from which guards decide whether to accept."""
        cookie = (b'cookie',) if self.parts.cookies else ()
        in_key = (*self.parts.header_names, *cookie, *header_names_of(self.parts.credentials))
        return tuple(dict.fromkeys((*in_key, *self._of_guards(), *self.rules.vary)))

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
        read = self.parts.whole_headers | (OF_ONE_CLIENT - self.left_out if self.raw else frozenset())
        return frozenset(_declared_conditions(self.nodes, self.rules.answered)) | (OF_ONE_CLIENT & read)

    @property
    def unsaid(self) -> tuple[str, ...]:
        """The inputs that affect the response and that neither the URL nor Vary names."""
        rules = self.rules
        return (
            *(('the raw request',) if self.raw else ()),
            *(('all headers',) if self.parts.has_any_headers else ()),
            *(() if self.parts.shared else ('credentials or cookies',)),
            *(('the name from identity',) if rules.guards_select else ()),
            *(('which clients the guards accept',) if rules.shared and not rules.public and self.has_guards else ()),
        )

    @property
    def in_words(self) -> tuple[str, ...]:
        """The parts of the key, in words."""
        return (
            *self.parts.in_words(),
            *(('the body',) if self.reads_body else ()),
            *(('the whole raw request, except for not_in_key',) if self.raw else ()),
            *(('the name from identity',) if self.rules.guards_select else ()),
        )


def _inputs(declared: _Declared, serial: Parts) -> Inputs:
    rules, parts, raw, left_out = declared.rules, declared.parts, declared.raw, declared.left_out
    read, whole, reads_body = readers(parts), parts.whole_headers, declared.reads_body
    fields_of_body = [it.field_info for node in declared.seen.nodes for it in node.body_params]
    return Inputs(
        read=lambda scope: tuple([(place, of(scope)) for place, of in read]),
        selecting=declared.selecting,
        covered=whole,
        in_key=whole | ({b'cookie'} if parts.cookies_are_in_key else frozenset()),
        authorization_covered=rules.shared or _AUTHORIZATION in declared.schemes or b'authorization' in whole,
        deciding=None if raw or rules.guards_select else parts.deciding_headers(reads_body=reads_body),
        reads_query=parts.reads_query,
        body_in_key=reads_body,
        form=not raw and all(isinstance(it, Form) for it in fields_of_body),
        declared=True,
        conditions=declared.conditions,
        shared=parts.shared,
        unsaid=declared.unsaid,
        for_all=not declared.unsaid,
        raw=raw,
        bypass_if_personal=not rules.shared,
        left_out=left_out,
        left_out_in_words=_left_out_in_words(left_out) if raw else (),
        in_words=declared.in_words,
        fingerprint=(*parts.fingerprint, rules.shared, serial),
    )


def _key_parts(
    own: Sequence[Dependant], of_guards: Sequence[Dependant], handed: Collection[Credential], rules: KeyRules
) -> KeyParts:
    """The parts of the key that these nodes and those of guards declare."""
    return KeyParts(
        query=Parameters('query', [it for node in (*own, *of_guards) for it in node.query_params]),
        headers=Parameters('header', _header_params(own), rules.answered),
        headers_of_guards=Parameters('header', _header_params(of_guards), rules.answered | PERSONAL),
        cookies=Parameters('cookie', [it for node in own for it in node.cookie_params]),
        vary=rules.vary,
        credentials=tuple(handed),
    )


def _header_params(nodes: Iterable[Dependant]) -> list[Any]:
    return [it for node in nodes for it in node.header_params]


def _declared_conditions(nodes: Iterable[Dependant], answered: Collection[str] = ()) -> list[bytes]:
    """The preconditions and ranges that the nodes declare or can read, without those that the cache handles."""
    headers = Parameters('header', _header_params(nodes))
    read = [name for name in OF_ONE_CLIENT if headers.may_read(name.decode('ascii'))]
    return [name for name in read if name.decode('ascii') not in answered]


def _left_out_in_words(left_out: Collection[bytes]) -> tuple[str, ...]:
    return (*(f'header {it.decode("ascii")}' for it in sorted(left_out)), *NOT_IN_RAW_KEYS)


def _serial(overrides: Overrides) -> Parts:
    """The part of a key that is new whenever overrides change, so that no entry outlives them; () without overrides.

    The names of the overriding functions cannot identify them: all lambdas have the same name.
    """
    return (_PROCESS, next(_serials)) if overrides else ()


def builder_inputs(roots: Sequence[Dependant], overrides: Overrides, vary: tuple[bytes, ...]) -> Inputs:
    """The inputs of a route whose key builder is responsible for the key: only the headers that select variants."""
    seen = _seen(roots, overrides)
    return Inputs(
        read=lambda _scope: (),
        selecting=vary,
        covered=frozenset(),
        in_key=frozenset(),
        authorization_covered=_AUTHORIZATION in (*seen.handed, *seen.checked) or b'authorization' in vary,
        deciding=None,
        reads_query=False,
        body_in_key=False,
        form=False,
        declared=False,
        conditions=frozenset((*_declared_conditions(seen.nodes), *OF_ONE_CLIENT.intersection(vary))),
        shared=not {b'authorization', b'cookie'}.intersection(vary),
        unsaid=('the key from key_builder',),
        for_all=False,
        raw=False,
        bypass_if_personal=False,
        left_out=frozenset(),
        left_out_in_words=(),
        in_words=('the key from key_builder', *(f'header {it.decode("ascii")}' for it in vary)),
        fingerprint=_serial(overrides),
    )


def _seen(roots: Iterable[Dependant], overrides: Overrides) -> _Seen:
    seen = _Seen()
    for root in roots:
        for node in tree(root, overrides):
            found = credential(node)
            if found is None:
                seen.nodes.append(node)
            else:
                (seen.checked if node.name is None else seen.handed).append(found)
    return seen


def _deciding(
    route: Dependant, guards: Sequence[Dependant], overrides: Overrides
) -> tuple[list[Dependant], list[Dependant]]:
    """The nodes whose inputs affect the response, if the user chose which clients share.

    First the nodes of the endpoint and its dependencies. Guards without a parameter name are left out, because they
    pass nothing to the endpoint. Then the nodes of guards with a name: inputs of these that identify a person are not
    in the key, and all others are.
    """
    own = [Dependant(**{name: getattr(route, name) for name in _OWN_INPUTS})]
    of_guards: list[Dependant] = []
    for dependency in route.dependencies:
        is_guard = any(dependency is it for it in guards)
        if not is_guard or dependency.name is not None:
            below = _seen([overridden(dependency, overrides)], overrides).nodes
            (of_guards if is_guard else own).extend(below)
    return own, of_guards
