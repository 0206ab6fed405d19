"""The inputs of a route with a `key_builder`."""

from collections.abc import Sequence

from fastapi.dependencies.models import Dependant
from starlette.datastructures import QueryParams

from fastapi_caching_route._core.inputs import Inputs
from fastapi_caching_route._core.read_names import PERSONAL_HEADERS, Reading
from fastapi_caching_route._fastapi.effective import Overrides
from fastapi_caching_route._fastapi.inputs import AUTHORIZATION, declared_conditions, serial_of
from fastapi_caching_route._fastapi.key_parts import cookies_in
from fastapi_caching_route._fastapi.nodes import seen_in
from fastapi_caching_route._http.conditional import OF_ONE_CLIENT


def builder_inputs(roots: Sequence[Dependant], overrides: Overrides, vary: tuple[bytes, ...]) -> Inputs:
    """The inputs of a route whose key builder is responsible for the key: only the headers that select variants."""
    seen = seen_in(roots, overrides)
    return Inputs(
        read=lambda _scope: (),
        selecting=vary,
        known=frozenset(),
        cookies=False,
        whole=frozenset(),
        authorization_covered=AUTHORIZATION in (*seen.handed, *seen.checked) or b'authorization' in vary,
        deciding=None,
        reads_query=False,
        reads_texts=True,
        body_in_key=False,
        form=False,
        json=False,
        host=False,
        declared=False,
        conditions=frozenset((*declared_conditions(seen.nodes), *OF_ONE_CLIENT.intersection(vary))),
        shared=PERSONAL_HEADERS.isdisjoint(vary),
        unsaid=('the key from key_builder',),
        raw=False,
        reading=Reading(cookies=cookies_in, query=QueryParams),
        noted=False,
        accounted=False,
        bypass_if_personal=False,
        left_out=frozenset(),
        left_out_in_words=(),
        in_words=('the key from key_builder', *(f'header {it.decode("ascii")}' for it in vary)),
        fingerprint=serial_of(overrides),
    )
