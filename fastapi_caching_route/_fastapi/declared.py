"""The declarations of a route for one request: the inputs that it reads, and the dependencies that run on hits."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_parameterless_sub_dependant

from fastapi_caching_route._core.asgi import Parts
from fastapi_caching_route._core.declared import Admission, Declared
from fastapi_caching_route._core.inputs import Inputs
from fastapi_caching_route._core.key import Keys
from fastapi_caching_route._fastapi.admission import FastAPIAdmission
from fastapi_caching_route._fastapi.builder_inputs import builder_inputs
from fastapi_caching_route._fastapi.early_values import EarlyValues
from fastapi_caching_route._fastapi.effective import Overrides, overridden, qualified, tree
from fastapi_caching_route._fastapi.extended import Handler, extended_handler, pass_handler
from fastapi_caching_route._fastapi.inputs import declared_inputs
from fastapi_caching_route._fastapi.key_rules import KeyRules
from fastapi_caching_route._fastapi.option_dependencies import adding_tags
from fastapi_caching_route._fastapi.own import is_own
from fastapi_caching_route._fastapi.refusing import refuses
from fastapi_caching_route._fastapi.security import declares_a_person, is_guard, is_optional, is_scheme


class Declarations:
    """The declarations of one effective route, with dependency overrides applied."""

    __slots__ = (
        *(
            '_adds_tags',
            '_asked',
            '_effective',
            '_explicit',
            '_explicit_before_key',
            '_foreign',
            '_identity',
            '_on_hits',
        ),
        *(
            '_has_key_builder',
            '_keys_of',
            '_nodes',
            '_on_miss_only',
            '_overridden',
            '_plain',
            '_provider',
            '_rules',
            '_tagging',
        ),
    )

    def __init__(
        self,
        effective: Any,
        keys_of: Callable[[Inputs], Keys],
        explicit: Sequence[Any],
        rules: KeyRules,
        *,
        identity: Any = None,
        tags: Any = None,
        has_key_builder: bool,
        explicit_before_key: bool,
        on_hits: str,
        on_miss_only: Collection[Any] = (),
    ) -> None:
        """Take an effective route and the explicit dependencies, a list of `Depends(...)`. `keys_of` makes its `Keys`.

        `identity`: the explicit dependency that gives the identity. `tags`: a further one, which gives the tags.
        `has_key_builder`: a key builder makes the key. `explicit_before_key`: the explicit dependencies run before the
        key is made. `on_hits` says which dependencies of the route run on hits, as `route_dependencies` does.
        `on_miss_only`: functions that authorize nobody, by the user's word.
        """
        self._effective = effective
        self._provider = effective.dependency_overrides_provider
        self._keys_of = keys_of
        path = effective.path_format
        self._explicit = [(it, get_parameterless_sub_dependant(depends=it, path=path)) for it in explicit]
        self._nodes = [node for _, node in self._explicit]
        self._asked = [_signature(node) for node in self._nodes]
        own = [_signature(node) for node in effective.dependant.dependencies if node.use_cache]
        self._foreign = [depends for depends, node in self._explicit if _signature(node) not in own]
        """The explicit dependencies that the route itself does not run."""
        self._rules, self._on_hits, self._on_miss_only, self._identity = rules, on_hits, on_miss_only, identity
        self._has_key_builder = has_key_builder
        self._explicit_before_key = explicit_before_key
        self._tagging = [] if tags is None else [get_parameterless_sub_dependant(depends=tags, path=path)]
        self._adds_tags = None if tags is None else adding_tags(path, tags)
        self._plain = self._declared({})
        self._overridden: tuple[Parts, Declared] = ((), self._plain)

    def current(self) -> Declared:
        """The declarations under the overrides that are set now: usually none in production, some in tests."""
        overrides = getattr(self._provider, 'dependency_overrides', None)
        if not overrides:
            return self._plain
        current = tuple(overrides.items())
        known, declared = self._overridden
        if known != current:
            roots = [self._effective.dependant, *self._nodes, *self._tagging]
            touched = any(node.call in overrides for root in roots for node in tree(root, {}))
            declared = self._declared(overrides) if touched else self._plain
            self._overridden = (current, declared)
        return declared

    def _declared(self, overrides: Overrides) -> Declared:
        route: Dependant = self._effective.dependant
        asked = [] if self._explicit_before_key else self._asked
        guards = self._guards_on_hits(route, overrides)
        steps = _steps(route, guards, asked)
        early_values = (
            EarlyValues(self._effective.path_format, self._explicit, overrides, self._identity)
            if self._explicit_before_key
            else None
        )
        inputs = self._inputs(route, guards, overrides)
        late = [] if self._explicit_before_key else self._foreign
        before = [node for depends, node in self._explicit if depends in late]
        handed = steps if early_values is None else [early_values.with_values(it) for it in steps]
        not_on_hit = [it for it in route.dependencies if not _is_among(it, (*guards, *self._nodes))]
        explicit = [depends for depends, _ in self._explicit]
        return Declared(
            inputs,
            self._keys_of(inputs),
            before_key=None if early_values is None else self._admission(explicit, early_values.nodes, overrides),
            on_hit=self._admission(late, [*before, *handed], overrides),
            guards=tuple(_shown(node.call) for node in (*self._nodes, *guards)),
            not_on_hit=tuple(_shown(node.call) for node in not_on_hit),
            refusing=tuple(self._refusing(not_on_hit, overrides)),
            lenient=tuple(self._lenient(guards, overrides)),
            run_handler=self._run_handler(
                route, late, steps, early_values, overrides, is_shared=bool(inputs.reading.by_identity)
            ),
            pass_handler=pass_handler(self._effective, self._foreign) if self._foreign else None,
        )

    def _guards_on_hits(self, route: Dependant, overrides: Overrides) -> list[Dependant]:
        """The guards of the route that run on hits, without explicit dependencies that ran before the key was made."""
        guards = self._guards(route, overrides, unnamed=self._on_hits != 'on_miss')
        asked = self._asked if self._explicit_before_key else []
        return [node for node in guards if _signature(node) not in asked]

    def _inputs(self, route: Dependant, guards: Sequence[Dependant], overrides: Overrides) -> Inputs:
        if self._has_key_builder:
            roots = (route, *(overridden(node, overrides) for node in (*self._nodes, *self._tagging)))
            return builder_inputs(roots, overrides, self._rules.vary)
        return declared_inputs(route, self._nodes, guards, overrides, self._rules, tagging=self._tagging)

    def _run_handler(
        self,
        route: Dependant,
        late: Sequence[Any],
        steps: Sequence[Dependant],
        early_values: EarlyValues | None,
        overrides: Overrides,
        *,
        is_shared: bool,
    ) -> Handler | None:
        """The handler that runs the route with everything that did not run before the key was made.

        None if nothing can refuse a request before the endpoint.
        """
        may_refuse = self._guards(route, overrides, unnamed=True)
        if not (self._explicit or may_refuse or self._adds_tags):
            return None
        asked = [
            it for it in route.dependencies if any(_signature(node) in self._asked for node in tree(it, overrides))
        ]
        return extended_handler(
            self._effective,
            late,
            steps,
            [*asked, *may_refuse],
            early_values,
            adds_tags=self._adds_tags,
            is_shared=is_shared,
        )

    def _guards(self, route: Dependant, overrides: Overrides, *, unnamed: bool) -> list[Dependant]:
        """The dependencies of the route that are guards as declared or as overridden.

        `unnamed` says whether dependencies without a parameter name are included if they contain no scheme.
        """
        guards = []
        for node in route.dependencies:
            nodes = [*tree(node, {}), *tree(overridden(node, overrides), overrides)]
            nodes = [it for it in nodes if it.call not in self._on_miss_only or declares_a_person(it)]
            is_one = is_guard(node, nodes) and (unnamed or node.name or any(map(is_scheme, nodes)))
            is_exempt = is_own(node.call) or node.call in self._on_miss_only
            if is_one or (self._on_hits == 'all' and not is_exempt):
                guards.append(node)
        return guards

    def _refusing(self, nodes: Sequence[Dependant], overrides: Overrides) -> Iterator[str]:
        """The dependencies among these with a name, and those below them, that can refuse requests, in words."""
        handled = getattr(self._provider, 'exception_handlers', {})
        for node in nodes:
            if node.name is not None:
                below = tree(overridden(node, overrides), overrides)
                yield from (_shown(it.call) for it in below if not is_own(it.call) and refuses(it.call, handled))

    def _lenient(self, guards: Sequence[Dependant], overrides: Overrides) -> Iterator[str]:
        """The guards with a name that read an optional credential and refuse nobody, in words."""
        if self._rules.shared or self._has_key_builder:
            return
        handled = getattr(self._provider, 'exception_handlers', {})
        for node in guards:
            below = [*tree(overridden(node, overrides), overrides)]
            refusing = [it for it in below if refuses(it.call, handled) and not is_scheme(it)]
            if node.name is not None and not is_scheme(node) and any(map(is_optional, below)) and not refusing:
                yield _shown(node.call)

    def _admission(
        self, explicit: Sequence[Any], guards: Sequence[Dependant], overrides: Overrides
    ) -> Admission | None:
        if not guards:
            return None
        return FastAPIAdmission(self._effective, explicit, guards, overridden=bool(overrides))


def _steps(route: Dependant, guards: Sequence[Dependant], asked: Sequence[Parts]) -> list[Dependant]:
    """The dependencies of the route that run on hits, in their order: guards, and explicit dependencies among them.

    A dependency that a guard uses too runs on hits as well. It is included if it can write headers, because these must
    not be stored.
    """
    below = [_signature(it) for guard in guards for it in tree(guard, {}) if it.use_cache and it is not guard]
    steps: list[Dependant] = []
    for node in route.dependencies:
        is_asked = _signature(node) in asked and not _is_among(node, steps)
        is_below = _signature(node) in below and any(it.response_param_name for it in tree(node, {}))
        if any(node is guard for guard in guards) or (node.use_cache and (is_asked or is_below)):
            steps.append(node)
    return steps


def _is_among(node: Dependant, others: Sequence[Dependant]) -> bool:
    return is_own(node.call) or any(node.call is other.call for other in others)


def _shown(call: Any) -> str:
    """A dependency in words: the name of a function, or of the class of an object."""
    return qualified(call if hasattr(call, '__qualname__') else type(call))


def _signature(node: Dependant) -> Parts:
    """The function and security scopes of a dependency: two with the same signature are the same dependency."""
    scopes = getattr(node, 'own_oauth_scopes', None) or getattr(node, 'security_scopes', None) or ()
    return (node.call, tuple(scopes))
