"""A response that is ready, for a request that its guards still have to accept.

Does not know how it was made, nor other ways to respond.
"""

from functools import partial

from fastapi_caching_route._core.declared import Admission, Decision, GuardRefusal
from fastapi_caching_route._exchange.call import Call
from fastapi_caching_route._exchange.guards import run_guards, send_refusal
from fastapi_caching_route._exchange.hit import Hit


async def reply_behind_guards(call: Call, hit: Hit, guards: Admission, decision: Decision) -> None:
    """Send the refusal of the guards; or run them and, if they accept the request, send the response."""
    call.own_key, call.key = hit.keys
    call.client.account.key = call.own_key
    if isinstance(decision, GuardRefusal):
        await send_refusal(call, decision)
    else:
        await run_guards(call, guards, partial(_reply, call, hit))


async def _reply(call: Call, hit: Hit) -> None:
    """Send the response, or make another one, with the headers that guards have written."""
    client, plan, entry = call.client, call.plan, hit.found.entry
    now = plan.runtime.clock()
    age, left = hit.found.age_and_left(now)
    client.account.end_part('guards')
    client.account.note('hit' if left > 0 else 'stale', age=age, saved=entry.about.seconds)
    if any(client.by_guards):
        labels = plan.labels.on_hit(age, left, client.headers_of(entry), call.declared.inputs, entry.read)
        await client.reply(entry, labels, now)
        return
    client.keeps_tasks = entry.made.keeps_tasks
    await client.send(hit.start)
    await client.send(hit.body)
