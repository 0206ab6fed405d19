"""Why a request bypasses the cache, or its answer is not stored, and how that is said to whoever reads the log."""

import logging
from dataclasses import dataclass

logger = logging.getLogger('fastapi_caching_route')


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


def tell(reason: str, path: str, told: set[str]) -> None:
    """Say in the log why, the first time that it comes to this on a route."""
    if reason not in told:
        told.add(reason)
        level = logging.WARNING if reason in MISTAKES else logging.INFO
        what = 'is not stored' if reason in OF_THE_ANSWER else WHAT.get(reason, 'bypasses the cache')
        logger.log(level, '%r %s: %s', path, what, EXPLAINED[reason])
