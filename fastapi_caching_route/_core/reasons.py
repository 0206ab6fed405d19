"""Why a request bypasses the cache, or its response is not stored. Pure."""

from dataclasses import dataclass

from fastapi_caching_route._concurrency.flights import Told


@dataclass(frozen=True, slots=True)
class Bypass:
    """Why a request bypasses the cache."""

    reason: str


MISTAKES = frozenset(
    {'no-asyncio', 'key-builder', 'identity', 'skip-callable', 'store-if', 'tags', 'tags-callable', 'many-tags'}
)
OF_THE_ANSWER = frozenset({'store-if', 'tags', 'tags-callable'})
WHAT = {'many-tags': 'is stored for groups of its tags'}
EXPLAINED = {
    'many-tags': 'there are more than 256, so that invalidating a tag of another response may end it, too; give fewer and coarser '
    'tags',
    'authorization': 'the route takes the raw request, and this one has Authorization; name it in vary_headers, or say '
    'by identity who shares',
    'cookie': 'the route takes the raw request, and this one has cookies; name cookie in vary_headers, or say by '
    'identity who shares',
    'session': 'the route takes the raw request, and this one has a session; say by identity who shares',
    'user': 'the route takes the raw request, and this one has a user; say by identity who shares',
    'no-asyncio': 'the cache needs asyncio, and this app runs on something else (trio); so it stores nothing '
    'there, and all endpoints answer themselves',
    'body': 'the body of the request is larger than max_body_size, or broke off',
    'key-builder': 'the key_builder must return a str with something in it, and it did not, or has raised',
    'skip': 'the skip callable says so',
    'skip-callable': 'the skip callable has raised',
    'store-if': 'store_if is a plain function of the response that says whether it is stored; it has raised, or must be awaited',
    'tags': 'its tags are texts; one of them is not, or names a parameter that is not in the path of the route',
    'tags-callable': 'the tags callable must return a list of texts, and it did not, or has raised',
    'identity': 'the identity callable must return a str, and it did not, or has raised',
}


OF_THE_LEADER = frozenset({'guard', 'head', 'partial', 'precondition', 'authorization', 'disconnected', 'incomplete'})
"""Why an answer is not kept, where another request might well get one that is."""

OF_THE_ANSWER = frozenset(
    {'freshness', 'live', 'no-cache', 'no-store', 'private', 'set-cookie', 'size', 'store-if', 'ttl', 'vary'}
)
"""Why it is not kept, where the next one will not be either: nobody is to wait for that."""


def told_by(reason: str) -> Told:
    """What those are told who wait for an answer that is not kept for this reason."""
    return Told.NEXT if reason in OF_THE_LEADER else Told.EACH


def will_be_so_again(reason: str) -> bool:
    """Whether the reason is in the answer itself, so that waiting for the next one is of no use either."""
    return reason in OF_THE_ANSWER
