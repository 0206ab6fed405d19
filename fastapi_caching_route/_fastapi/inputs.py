"""What a route is seen to read of a request: everything that its endpoint and all its dependencies declare."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from secrets import token_hex
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.params import Form
from starlette.datastructures import Headers, QueryParams
from starlette.requests import HTTPConnection

from fastapi_caching_route._core.asgi import Parts, Scope
from fastapi_caching_route._core.inputs import NOT_IN_RAW_KEYS, Inputs
from fastapi_caching_route._fastapi.effective import Overrides, overridden, tree
from fastapi_caching_route._fastapi.parameters import Parameters
from fastapi_caching_route._fastapi.security import PERSONAL, Credential, credential, takes_the_request
from fastapi_caching_route._http.conditional import OF_ONE_CLIENT
from fastapi_caching_route._http.fields import lines, selected

_PROCESS = token_hex(8)
_serials = count()


@dataclass(frozen=True, slots=True)
class KeyRules:
    """How the inputs of a route are put together, beside its declarations."""

    vary: tuple[bytes, ...]
    """Further request fields that count."""
    left_out: frozenset[bytes]
    """Request fields that do not count where the raw request is taken."""
    raw: bool
    """Whether the request is read in a way that no declaration shows."""
    shared: bool
    """Whether credentials and the inputs of guards stay out of the key: `identity` says who shares."""
    answered: frozenset[str]
    """Request fields that the endpoint never gets as the client sent them, since we answer what they ask."""
    public: bool
    """Whether the route says itself that caches in front may share, so that it does not matter whom the guards let in."""
    guards_select: bool
    """Whether answers may depend on these all the same, through what `identity` makes of them."""


@dataclass(slots=True)
class _Seen:
    """What has been found in the tree so far."""

    nodes: list[Dependant] = field(default_factory=list)
    handed: list[Credential] = field(default_factory=list)
    """Credentials whose values user code gets."""
    checked: list[Credential] = field(default_factory=list)
    """Credentials that a scheme checks and hands to nobody."""


def declared_inputs(
    route: Dependant,
    explicit: Sequence[Dependant],
    guards: Sequence[Dependant],
    overrides: Overrides,
    rules: KeyRules,
) -> Inputs:
    """All that the route and the explicit dependencies declare, overriding ones in place of those overridden.

    `guards` are the dependencies of the route that run on hits.
    """
    seen = _seen([route, *(overridden(it, overrides) for it in explicit)], overrides)
    own, of_guards = _deciding(route, guards, overrides) if rules.shared else (seen.nodes, [])
    nodes = [*own, *of_guards]
    handed = [] if rules.shared else seen.handed
    query = Parameters('query', [it for node in nodes for it in node.query_params])
    headers = Parameters('header', _header_params(own), rules.answered)
    headers_of_guards = Parameters('header', _header_params(of_guards), rules.answered | PERSONAL)
    cookies = Parameters('cookie', [it for node in own for it in node.cookie_params])
    header_names = tuple(dict.fromkeys((*headers.field_names, *headers_of_guards.field_names)))
    reads: list[tuple[str, Callable[[Scope], Parts]]] = []
    if query:
        reads.append(('query', lambda scope: query.read(QueryParams(scope['query_string']))))
    if headers:
        reads.append(('headers', lambda scope: headers.read(Headers(raw=scope['headers']))))
    if headers_of_guards:
        reads.append(('headers of guards', lambda scope: headers_of_guards.read(Headers(raw=scope['headers']))))
    if cookies:
        reads.append(('cookies', lambda scope: cookies.read(HTTPConnection(scope).cookies)))
    if rules.vary:
        reads.append(('vary', lambda scope: selected(scope['headers'], rules.vary)))
    if handed:
        reads.append(('credentials', lambda scope: _given(scope, handed)))
    override = _serial(overrides)
    body_in_key = any(node.body_params for node in nodes)
    declared_conditions = _declared_conditions(nodes, rules.answered)
    raw = rules.raw or any(takes_the_request(node) for node in nodes)
    schemes = [*seen.handed, *seen.checked]
    selecting = [*header_names, *([b'cookie'] if cookies else ()), *_fields(handed)]
    whole = frozenset((*header_names, *rules.vary, *(_field(it) for it in handed if it.place == 'header')))
    some_cookies = bool(cookies) or any(it.place == 'cookie' for it in handed)
    checked_by_scheme = Credential('header', 'authorization') in schemes
    shared = not handed and not whole & {b'authorization', b'cookie'} and not cookies
    unsaid = (
        *(('the raw request',) if raw else ()),
        *(('all headers',) if headers.is_whole or headers_of_guards.is_whole else ()),
        *(() if shared else ('credentials or cookies',)),
        *(('what identity says',) if rules.guards_select else ()),
        *(('whom the guards let in',) if rules.shared and not rules.public and (guards or explicit) else ()),
    )
    left_out = rules.left_out | ({b'authorization', b'cookie', *_fields(schemes)} if rules.shared else frozenset())
    return Inputs(
        read=lambda scope: tuple([(place, read(scope)) for place, read in reads]),
        selecting=tuple(dict.fromkeys((*selecting, *_of_guards(seen, rules), *rules.vary))),
        covered=whole,
        in_key=whole | ({b'cookie'} if some_cookies else frozenset()),
        authorization_covered=rules.shared or checked_by_scheme or b'authorization' in whole,
        by_line=not (body_in_key or raw or rules.guards_select or {place for place, _ in reads} - {'query'}),
        reads_query=bool(query),
        body_in_key=body_in_key,
        form=not raw and all(isinstance(it.field_info, Form) for node in seen.nodes for it in node.body_params),
        declared=True,
        conditions=frozenset(
            name
            for name in OF_ONE_CLIENT
            if name in whole or name in declared_conditions or (raw and name not in left_out)
        ),
        shared=shared,
        unsaid=unsaid,
        for_all=not unsaid,
        raw=raw,
        bypass_if_personal=not rules.shared,
        left_out=left_out,
        left_out_in_words=(*(f'header {it.decode("ascii")}' for it in sorted(left_out)), *NOT_IN_RAW_KEYS)
        if raw
        else (),
        in_words=(
            *(f'query {it}' for it in query.in_words),
            *(f'header {it}' for it in dict.fromkeys((*headers.in_words, *headers_of_guards.in_words))),
            *(f'cookie {it}' for it in cookies.in_words),
            *(f'header {it.decode("ascii")}' for it in rules.vary),
            *(f'the credential in {it.place} {it.name}' for it in handed),
            *(('the body',) if body_in_key else ()),
            *(('all of the raw request, but for what not_in_key names',) if raw else ()),
            *(('what identity says',) if rules.guards_select else ()),
        ),
        fingerprint=(
            query.fingerprint,
            headers.fingerprint,
            headers_of_guards.fingerprint,
            cookies.fingerprint,
            rules.vary,
            rules.shared,
            override,
        ),
    )


def _serial(overrides: Overrides) -> Parts:
    """What is in a key while dependencies are overridden, so that no entry outlives a change of the overrides.

    What they stand for cannot be told from their names: two lambdas have one.
    """
    return (_PROCESS, next(_serials)) if overrides else ()


def _header_params(nodes: Iterable[Dependant]) -> list[Any]:
    return [it for node in nodes for it in node.header_params]


def _declared_conditions(nodes: Iterable[Dependant], answered: Collection[str] = ()) -> list[bytes]:
    """The preconditions and ranges that the nodes declare, or can see, but for those that are `answered` for them."""
    headers = Parameters('header', _header_params(nodes))
    read = [name for name in OF_ONE_CLIENT if headers.may_read(name.decode('ascii'))]
    return [name for name in read if name.decode('ascii') not in answered]


def _of_guards(seen: _Seen, rules: KeyRules) -> list[bytes]:
    """Request fields for Vary that are not in the key: what guards read decides who gets an answer at all."""
    if not rules.shared:
        return _fields(seen.checked)
    if not rules.guards_select:
        return []
    headers = Parameters('header', _header_params(seen.nodes), rules.answered)
    cookie = [b'cookie'] if any(node.cookie_params for node in seen.nodes) else []
    return [*headers.field_names, *cookie, *_fields([*seen.handed, *seen.checked])]


def builder_inputs(roots: Sequence[Dependant], overrides: Overrides, vary: tuple[bytes, ...]) -> Inputs:
    """The inputs where a key builder makes the key, and answers for it: none but the fields that select a variant."""
    seen = _seen(roots, overrides)
    checked_by_scheme = Credential('header', 'authorization') in (*seen.handed, *seen.checked)
    return Inputs(
        read=lambda _scope: (),
        selecting=vary,
        covered=frozenset(),
        in_key=frozenset(),
        authorization_covered=checked_by_scheme or b'authorization' in vary,
        by_line=False,
        reads_query=False,
        body_in_key=False,
        form=False,
        declared=False,
        conditions=frozenset((*_declared_conditions(seen.nodes), *OF_ONE_CLIENT.intersection(vary))),
        shared=not {b'authorization', b'cookie'}.intersection(vary),
        unsaid=('what the key_builder says',),
        for_all=False,
        raw=False,
        bypass_if_personal=False,
        left_out=frozenset(),
        left_out_in_words=(),
        in_words=('what the key_builder says', *(f'header {it.decode("ascii")}' for it in vary)),
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
    """The nodes that decide the response where the user has said who shares: the endpoint, and its dependencies.

    Guards without a parameter name are not among them, since they give nothing to the endpoint. The nodes of guards with a
    name come second: of these, whatever names a person does not count, and everything else does.
    """
    own = [Dependant(**{name: getattr(route, name) for name in _OWN_INPUTS})]
    of_guards: list[Dependant] = []
    for dependency in route.dependencies:
        is_guard = any(dependency is it for it in guards)
        if not is_guard or dependency.name is not None:
            below = _seen([overridden(dependency, overrides)], overrides).nodes
            (of_guards if is_guard else own).extend(below)
    return own, of_guards


_OWN_INPUTS = (
    *('path_params', 'query_params', 'header_params', 'cookie_params', 'body_params'),
    *('call', 'request_param_name', 'http_connection_param_name'),
)


def _fields(credentials: Collection[Credential]) -> list[bytes]:
    """The request fields that the credentials come in; a query parameter comes in none."""
    return [_field(it) for it in credentials if it.place != 'query']


def _field(found: Credential) -> bytes:
    return b'cookie' if found.place == 'cookie' else found.name.lower().encode('latin-1')


def _given(scope: Scope, credentials: Collection[Credential]) -> Parts:
    """The credentials of a request; they go into a digest and nowhere else."""
    request = HTTPConnection(scope)
    given: list[object] = []
    for it in credentials:
        match it.place:
            case 'header':
                given.append(lines(scope['headers'], _field(it)))
            case 'query':
                given.append(request.query_params.getlist(it.name))
            case 'cookie':
                given.append(request.cookies.get(it.name))
    return tuple(given)
