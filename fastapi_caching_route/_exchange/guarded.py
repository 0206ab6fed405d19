"""A fresh entry that was found at once, for a request that its guards still have to let in.

Does not know how it was found, nor other ways to answer.
"""

from functools import partial

from fastapi_caching_route._core.declared import LetIn
from fastapi_caching_route._core.key import KeyPair
from fastapi_caching_route._exchange.call import Call
from fastapi_caching_route._exchange.guards import ask
from fastapi_caching_route._exchange.lookup import Answer


async def reply_behind_guards(call: Call, keys: KeyPair, answer: Answer, let_in: LetIn) -> None:
    """Ask the guards, or send their refusal; if they let the request in, send the response that was made for it."""
    guards = call.declared.on_hit
    assert guards is not None
    call.own_key, call.key = keys
    call.client.account.key = call.own_key
    await ask(call, guards, partial(_reply, call, answer), let_in)


async def _reply(call: Call, answer: Answer) -> None:
    """Send the response, or make another one, with the headers that guards have written."""
    start, body, _, found = answer
    client, plan, entry = call.client, call.plan, found.entry
    now = plan.runtime.clock()
    age, left = found.age_and_left(now)
    client.account.passed('guards')
    client.account.note('hit' if left > 0 else 'stale', age=age, saved=entry.about.seconds)
    if any(client.by_guards):
        labels = plan.labels.on_hit(age, left, client.headers_of(entry), call.declared.inputs, entry.read)
        await client.reply(entry, labels, now)
        return
    client.keeps_tasks = entry.made.keeps_tasks
    await client.send(start)
    await client.send(body)
