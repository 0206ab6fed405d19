"""What becomes of a response, decided from its head and from what was seen of its run.

Does not know stores, flights or clocks. The log may be told of a doubt, once for a route.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.names import are_tags
from fastapi_caching_route._core.reasons import Extent
from fastapi_caching_route._core.written import Written
from fastapi_caching_route._exchange.errand import Errand, Response
from fastapi_caching_route._exchange.messages import Head
from fastapi_caching_route._http import conditional, reuse
from fastapi_caching_route._http.conditional import OF_A_PART, PRECONDITIONS
from fastapi_caching_route._http.fields import RawHeaders, lines
from fastapi_caching_route._http.sending import legal
from fastapi_caching_route._http.storing import Refused, Storable, storable

BAD_REQUEST = 400


class Record(Struct, frozen=True):
    """The response is recorded, and stored when it is complete."""

    storable: Storable


class PassOn(Struct, frozen=True):
    """The response is passed on as it comes, and not stored."""

    reason: str
    is_not_modified: bool = False
    """Whether its client has it already, and gets a 304."""


class Confirmed(Struct, frozen=True):
    """The endpoint says with a 304 that what is stored still holds."""


class StandIn(Struct, frozen=True):
    """The stale entry is sent in place of a failure."""

    status: int | None
    """Of the failure; None for an exception."""


Way = Record | PassOn | Confirmed | StandIn


class Evidence(Struct, frozen=True):
    """The state of a run, besides the head of its response, by now."""

    is_admitted: bool
    """Whether all guards have let the request in."""
    doubt: str | None
    """Why the response must not be stored although nothing in its messages shows it."""
    session: Mapping[str, Any]
    is_comparable: bool
    """Whether other requests can be compared with this one in all that was read of it."""
    written: Written
    """What dependencies and the endpoint have written on the response."""
    now: float


def verdict(response: Response, evidence: Evidence) -> Record | PassOn:
    """Whether the response may be stored.

    It is asked again at the end of a stream, since endpoints may say more while they stream.
    """
    errand, head = response.errand, response.head
    hidden = hidden_reason(response, evidence)
    found = Refused(hidden) if hidden else storable_by_head(errand, errand.call.scope['headers'], head)
    if isinstance(found, Storable):
        return Record(found)
    # The endpoint cannot have said 304 where we have withheld the preconditions of the client.
    asked = errand.call.client.headers if response.snapshot.question.withholds_preconditions else ()
    method = errand.call.scope['method']
    return PassOn(found.reason, conditional.not_modified(method, asked, head.status, head.headers, head.began_at))


def storable_by_head(errand: Errand, request: RawHeaders, head: Head) -> Storable | Refused:
    """Whether the response may be stored by what it says itself, and by what its endpoint wishes."""
    wishes, plan = errand.wishes, errand.call.plan
    inputs, has_it = errand.call.declared.inputs, b'authorization' in dict(request)
    covered = has_it and plan.covers_authorization(errand.call.scope, inputs)
    terms = plan.terms.for_one(wishes.ttl, wishes.stale_while_revalidate, wishes.stale_if_error, covered=covered)
    return storable(request, head.status, head.headers, terms, head.began_at, delay=head.delay, told=head.told)


def hidden_reason(response: Response, evidence: Evidence) -> str | None:
    """A reason against storing that the response's own headers do not show."""
    errand, status = response.errand, response.head.status
    if errand.call.scope['method'] == 'HEAD':
        return reasons.HEAD.name
    if response.snapshot.session != evidence.session:  # it becomes a cookie outside of us
        return reasons.SESSION.name
    if not are_tags(errand.wishes.tags):
        return reasons.TAGS.name
    # A guard's response is for this client; as on a hit, it must not reveal whether there is an entry.
    if not evidence.is_admitted or outlasts_a_failure(errand, status, evidence.now):
        return reasons.STATUS.name
    if status >= BAD_REQUEST and _may_be_about_a_part(response):
        return reasons.PRECONDITION.name
    # A guard may have written over what is not legal: for this client, and not for the next one.
    by_others = evidence.written.by_others if evidence.written.made_by_fastapi else ()
    is_legal = not by_others or legal([it[1:] for operations in by_others for it in operations])
    hidden = evidence.doubt or errand.wishes.refused or (None if is_legal else reasons.HEADER.name)
    return hidden or (None if evidence.is_comparable else reasons.NOT_COMPARABLE.name)


def extent_of(reason: str, response: Response, written: Written) -> Extent:
    """To what a reason against storing applies.

    If a guard refuses the request, or sets a cookie for its client, the response to another one may be stored.
    """
    if not response.errand.call.is_admitted:
        return Extent.THIS_REQUEST
    if reason == reasons.SET_COOKIE.name and not lines(written.less_guards(response.head.headers), b'set-cookie'):
        reason = reasons.GUARD.name
    return reasons.named(reason).extent


def outlasts_a_failure(errand: Errand, status: int, now: float) -> bool:
    """Whether what is stored is better than a failure, and may still answer."""
    stale = errand.stale
    if status not in reuse.FAILURES or stale is None or stale.entry.status in reuse.FAILURES:
        return False
    entry = stale.entry
    _, left = stale.age_and_left(now)
    return left > 0 or reuse.in_window(left, max(entry.stale_while_revalidate, entry.stale_if_error))


def _may_be_about_a_part(response: Response) -> bool:
    """Whether a range or a precondition may be what was wrong, which are in no key.

    An endpoint that takes the raw request sees them, and `FileResponse` says 400 of a range.
    """
    call = response.errand.call
    inputs = call.declared.inputs
    sees_them = inputs.raw or inputs.reading.takes_request or not inputs.declared or response.head.status == BAD_REQUEST
    # Those by which we ask, if we do, are in the place of the client's.
    fields = OF_A_PART if response.snapshot.question.conditions else OF_A_PART | PRECONDITIONS
    return sees_them and not fields.isdisjoint(dict(call.scope['headers']))
