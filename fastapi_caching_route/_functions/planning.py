"""The plan of a cached function, as of a route: a call is a request, whose query is its arguments.

Does not know how a call is made.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from msgspec import Struct

from fastapi_caching_route._core.asgi import NAMES, Parts, Scope
from fastapi_caching_route._core.counts import Counts
from fastapi_caching_route._core.declared import Declared
from fastapi_caching_route._core.durations import in_seconds, seconds_or_none
from fastapi_caching_route._core.inputs import Inputs
from fastapi_caching_route._core.key import KeyPair, Keys
from fastapi_caching_route._core.labels import Labels
from fastapi_caching_route._core.names import EVERYTHING, Named, cut, function_name, namespace_name, tag_name
from fastapi_caching_route._core.read_names import NO_READING
from fastapi_caching_route._exchange.plan import Plan, RunOptions
from fastapi_caching_route._exchange.user_code import Hooks
from fastapi_caching_route._http.terms import Terms
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route.policy import CachePolicy

OK = 200
METHOD = 'GET'

_NONE: frozenset[Any] = frozenset()
_INPUTS = Inputs(
    read=lambda scope: (scope['query_string'],),
    selecting=(),
    known=_NONE,
    cookies=False,
    whole=_NONE,
    authorization_covered=True,
    deciding=_NONE,
    reads_query=True,
    reads_texts=True,
    body_in_key=False,
    form=False,
    json=False,
    host=False,
    declared=True,
    conditions=_NONE,
    raw=False,
    reading=NO_READING,
    noted=False,
    accounted=True,
    shared=True,
    unsaid=(),
    bypass_if_personal=False,
    left_out=_NONE,
    in_words=('the arguments',),
    left_out_in_words=(),
    fingerprint=(),
)
_LABELS = Labels(None, b'x-cache', (b'x-cache', b'HIT'), (b'x-cache', b'MISS'), (), (), ())


class NamesOfCalls:
    """Gives the results of functions their names, which are known with the call."""

    unknown: frozenset[str] = frozenset()

    def names(self, scope: Scope, _key: str | None, _tags: Collection[str], /) -> Named:
        """See `GivesNames`."""
        named: Named = scope[NAMES]
        return named


class Planned(Struct, frozen=True):
    """What is known of a function before it is called."""

    plan: Plan
    alone: Plan
    """The same for a call that must not wait for others."""
    in_words: str
    """The full name of the function."""
    declared: Declared
    names: tuple[str, ...]
    """Those of all its entries. The last one is that of the function."""

    def scope(self, arguments: str) -> dict[str, Any]:
        """A call with these arguments, as a request."""
        return {
            'type': 'http',
            'method': METHOD,
            'path': self.in_words,
            'query_string': arguments.encode('ascii'),
            'headers': [],
        }

    def keys(self, scope: Scope) -> KeyPair:
        """The key of a call without the namespace, and the full key."""
        return self.declared.keys.of(scope, b'')

    def names_of(self, tags: Collection[str], more: Collection[str] = ()) -> Named:
        """The names of an entry with these tags."""
        names = (*self.names, *map(tag_name, tags), *more)
        return Named(tuple(dict.fromkeys(names)), tags=tuple(map(cut, tags)))


def planned(settings: Settings, policy: CachePolicy, in_words: str, title: str, parts: Parts) -> Planned:
    """The plan of a function. `parts` identify it, equal in all processes that run the same code."""
    namespace = settings.full_namespace(policy.namespace)
    keys = Keys(('function', settings.version, in_words, *parts), namespace, _INPUTS)
    declared = Declared(_INPUTS, keys)
    plan = _plan(settings, policy, declared, namespace, settings.runtime.counts_of(f'{title}()', in_words))
    of_namespace = () if policy.namespace is None else (namespace_name(namespace),)
    return Planned(
        plan=plan,
        alone=replace(plan, run_options=replace(plan.run_options, collapse=False, lock=False)),
        in_words=in_words,
        declared=declared,
        names=(EVERYTHING, *of_namespace, function_name(in_words)),
    )


def _plan(settings: Settings, policy: CachePolicy, declared: Declared, namespace: str, counts: Counts) -> Plan:
    """The plan of a function: it has nothing of what only requests have."""
    return Plan(
        runtime=settings.runtime,
        hooks=Hooks(),
        namespace=namespace,
        declared=lambda: declared,
        naming=NamesOfCalls(),
        terms=_terms(settings, policy),
        run_options=RunOptions(
            collapse=policy.collapse,
            collapse_timeout=in_seconds(policy.collapse_timeout),
            lock=policy.lock,
            eager_refresh=policy.eager_refresh,
        ),
        labels=_LABELS,
        methods=frozenset((METHOD,)),
        labelled=frozenset(),
        heeds_demands=False,
        ttl_jitter=policy.ttl_jitter,
        watch=lambda _scope, _reads: {},
        told=set(),
        set_by_middleware=lambda: None,
        learned=set(),
        learned_variables=set(),
        counts=counts,
        surrogates=None,
        # Results are never sent compressed.
        compression=settings.compression if settings.store.is_shared else None,
    )


def _terms(settings: Settings, policy: CachePolicy) -> Terms:
    """The terms on which results are stored: those of the options, also where headers decide for routes."""
    return Terms(
        accepted=frozenset((OK,)),
        ttl=seconds_or_none(policy.ttl),
        fallback_ttl=settings.store.ttl,
        max_body_size=policy.max_body_size,
        stale_while_revalidate=in_seconds(policy.stale_while_revalidate),
        stale_if_error=in_seconds(policy.stale_if_error),
    )
