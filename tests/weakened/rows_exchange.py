"""Places to weaken in the exchange: name, file, text that stands there, text that stands there then."""

KEPT_LIST = """

_lists = {}


def _keep(entry, headers, labels):
    got = _lists.setdefault(entry.key, list(headers))
    names = {name for name, _ in labels}
    got[:] = [field for field in got if field[0] not in names] + list(labels)
    return got
"""
"""A list of headers that several responses share."""

ROWS = [
    (
        'log: the text of an exception of the user',
        '_exchange/plan.py',
        'type(error).__qualname__, places',
        'repr(error), places',
    ),
    ('events: keys of key builders', '_exchange/account.py', '            key = digest(key)', '            pass'),
    ('events: told once', '_exchange/account.py', '        if self._is_over:\n            return\n', ''),
    ('stored although it is not to be', '_exchange/keeping.py', ' if plan.labels.stores else reasons.STORE.name', ''),
    ('personal and not stored', '_exchange/plan.py', ' or not self.labels.stores', ''),
    (
        'disconnect doubt',
        '_exchange/run.py',
        '            self._recorder.doubt = reasons.DISCONNECTED.name',
        '            pass',
    ),
    (
        'fields of one client stored',
        '_exchange/run.py',
        'kept = self._written.less_guards(self._head.headers)',
        'kept = self._head.headers',
    ),
    ('a hit with guards', '_exchange/exchange.py', 'else await declared.on_hit.lets_in(scope)', 'else True'),
    ('a hit with guards that write', '_exchange/guarded.py', 'if any(client.by_guards):', 'if False:'),
    (
        'a hit with guards whose tasks are not kept',
        '_exchange/guarded.py',
        '    client.keeps_tasks = entry.made.keeps_tasks\n',
        '',
    ),
    (
        'a hit with guards that know its key',
        '_exchange/guarded.py',
        '    call.own_key, call.key = looked[0]\n    call.client.account.key',
        '    call.client.account.key',
    ),
    ('a hit with demands', '_exchange/lookup.py', ' or plan.heeds_demands', ''),
    (
        'a hit that is stale',
        '_exchange/lookup.py',
        'if use is Use.VALIDATE or (use is not Use.ANSWER and (',
        'if (use is not Use.ANSWER and (',
    ),
    ('a renewal that is due', '_exchange/lookup.py', ' or _is_due(plan, looked, now)', ''),
    ('a renewal under way', '_exchange/lookup.py', 'return under_way is None and not', 'return not'),
    (
        'a body before skip',
        '_exchange/lookup.py',
        'declared.before_key is None and plan.hooks.skip is None\n',
        'True\n',
    ),
    ('written: followers', '_exchange/call.py', '        self.by_guards = by_guards\n', ''),
    (
        'written: cache-control',
        '_exchange/exchange.py',
        'headers, inputs = call.client.headers_of(entry), call.declared.inputs',
        'headers, inputs = entry.headers, call.declared.inputs',
    ),
    ('trio', '_exchange/plan.py', '        if on_asyncio():\n', '        if True:\n'),
    ('range that is not valid', '_exchange/errand.py', 'not ranges.is_valid(asked)', 'False'),
    ('admitted before', '_exchange/run.py', '            call.scope.pop(name, None)', '            pass'),
    ('preconditions', '_exchange/verdict.py', 'return sees_them and', 'return False and'),
    ('a failed renewal', '_exchange/verdict.py', ' or outlasts_a_failure(errand, status, evidence.now)', ''),
    ('skip', '_exchange/lookup.py', 'if skipped is not False:', 'if skipped is None:'),
    ('skip in the short way', '_exchange/lookup.py', ' and plan.hooks.skip is None', ''),
    ('withdrawn by a 304', '_exchange/stale.py', 'if is_refused and _forbids_storing(errand, updated):', 'if False:'),
    (
        'withdrawn for one request',
        '_exchange/stale.py',
        'if is_refused and _forbids_storing(errand, updated):',
        'if is_refused:',
    ),
    ('withdrawn by its endpoint', '_exchange/stale.py', 'errand.wishes.refused is not None or ', ''),
    (
        'age of a 304',
        '_exchange/stale.py',
        'updated.began_at - min(received_age(updated.headers, updated.began_at, updated.delay), OLDEST)',
        'updated.began_at',
    ),
    ('named headers', '_exchange/run.py', ', own=own)', ')'),
    ('named headers of a 304', '_exchange/stale.py', ', own=own)', ')'),
    ('named headers beside a 304', '_exchange/call.py', 'if own and start', 'if not own and start'),
    (
        'foreign HIT',
        '_exchange/messages.py',
        'without(headers, (ours,)) if ours in present else [*headers]',
        '[*headers]',
    ),
    (
        'unsendable headers under those of guards',
        '_exchange/verdict.py',
        ' or (None if is_legal else reasons.HEADER.name)',
        '',
    ),
    (
        'fresh messages',
        '_exchange/call.py',
        "'headers': [*headers, *labels]}",
        "'headers': _keep(entry, headers, labels)}",
        KEPT_LIST,
    ),
    ('session made meanwhile', '_exchange/verdict.py', '        return reasons.SESSION.name', '        pass'),
    ('herd: refusals', '_exchange/verdict.py', 'if not evidence.is_admitted or outlasts', 'if outlasts'),
    (
        'herd: guards of followers',
        '_exchange/exchange.py',
        'await admit(call, call.declared.on_hit, partial(self._reply_as_follower, follow, ask.why))',
        'await self._reply_as_follower(follow, ask.why)',
    ),
    ('herd: closing', '_exchange/keeping.py', 'errand.flight.is_storing = True', 'pass'),
    ('herd: variants', '_exchange/herd.py', 'suits = self._suits(brought)', 'suits = True'),
    ('herd: who leads', '_exchange/herd.py', ' if self._may_lead() else Alone(variants)', ''),
    (
        'herd: alone',
        '_exchange/run.py',
        '            call.plan.runtime.unshareable.begin(call.key, call.plan.runtime.clock(), UNSHAREABLE_SECONDS)\n',
        '            pass\n',
    ),
    (
        'herd: pauses',
        '_exchange/run.py',
        '            call.plan.runtime.failing.lengthen(call.key, call.plan.runtime.clock())\n',
        '',
    ),
    (
        'herd: renewals',
        '_exchange/exchange.py',
        '            runtime.unrenewable.lengthen(call.key, runtime.clock())',
        '            pass',
    ),
    ('herd: landed since', '_exchange/herd.py', 'flights.has_brought(key, seen.brought_so_far)', 'False'),
    (
        'herd: no-store of a request',
        '_exchange/herd.py',
        " or reuse.asks_for_no_storing(self._call.scope['headers'])",
        '',
    ),
    (
        'herd: a run in two',
        '_exchange/overtaking.py',
        'client = errand.call.client.hand_over()',
        'client = errand.call.client',
    ),
    ('tags of the context', '_exchange/keeping.py', 'tags = sorted(errand.wishes.tags)', 'tags = list[str]()'),
    (
        'refusal at the end of a stream',
        '_exchange/run.py',
        ' if step.passed else self._way\n',
        ' if False else self._way\n',
    ),
    (
        'guards before what is stale',
        '_exchange/exchange.py',
        'await admit(call, call.declared.on_hit, partial(self._reply, reply))',
        'await self._reply(reply)',
    ),
    (
        'guards before what stands in',
        '_exchange/run.py',
        'await behind_guards(call, standing_in)',
        'await standing_in()',
    ),
    (
        'guards before what is confirmed',
        '_exchange/run.py',
        'await behind_guards(call, self._confirm)',
        'await self._confirm()',
    ),
    (
        'guards before nothing',
        '_exchange/exchange.py',
        'await admit(call, call.declared.on_hit, partial(call.client.reply_nothing, labels))',
        'await call.client.reply_nothing(labels)',
    ),
    ('a failure after the answer began', '_exchange/run.py', 'if self._passing.has_begun or not', 'if not'),
    (
        'many tags: context',
        '_exchange/keeping.py',
        'errand.call.plan.bounded(tuple(dict.fromkeys(names)), errand.call.scope)',
        'tuple(dict.fromkeys(names))',
    ),
    (
        'withdrawn: at all',
        '_exchange/run.py',
        (
            '            await withdraw_stored(self.errand, self._snapshot, self._head, self.errand.visit, '
            'self._recorder.doubt)\n        await self._take(step)'
        ),
        '            pass\n        await self._take(step)',
    ),
    (
        'withdrawn: what cannot be stored',
        '_exchange/keeping.py',
        'reason = await putting\n    if reason is not None:',
        'reason = await putting\n    if False:',
    ),
    ('withdrawn: not by a refusal', '_exchange/keeping.py', 'if not scope.get(OF_THE_ENDPOINT) or doubt', 'if doubt'),
    ('withdrawn: not by what breaks off', '_exchange/keeping.py', ' or doubt in BROKEN_OFF', ''),
    (
        'withdrawn: by a run that began before',
        '_exchange/keeping.py',
        '    if visit.was_withdrawn(snapshot.before, key):\n        return True\n    return key',
        '    return False and key',
    ),
    ('withdrawn: another entry', '_exchange/stale.py', ' and found.entry == entry', ''),
    (
        'passing: nobody waits for a slow client',
        '_exchange/passing.py',
        '        self._flight.land(Instead.LEAD)\n',
        '',
    ),
    (
        'passing: the room of a slow client',
        '_exchange/passing.py',
        '        self._ending = loop.call_later(GIVE_UP_SECONDS - STALLED_SECONDS, self._recorder.give_up)\n',
        '',
    ),
    (
        'passing: a client that takes its time',
        '_exchange/passing.py',
        'for timer in (watching, self._ending):',
        'for timer in ():',
    ),
    (
        'passing: the start of a stream',
        '_exchange/passing.py',
        'START_SECONDS if length_is_known else 0, self._start)',
        '60, self._start)',
    ),
    (
        'passing: the start of a stream in place of a whole response',
        '_exchange/run.py',
        'if not (length_is_known and self._written.is_whole):',
        'if not self._written.is_whole:',
    ),
    (
        'passing: the start before the rest',
        '_exchange/passing.py',
        '            await starting\n',
        '            pass\n',
    ),
    (
        'garbage: a client and its guards',
        '_exchange/guards.py',
        'start if is_admitted else refusal(start)',
        'start if is_admitted else _refused(call.plan, call.declared, call.client.account, start)',
    ),
    ('refusals alike', '_exchange/guards.py', 'with_start(call.client.send, refused)', 'call.client.send'),
    (
        'refusals alike, if they are decided at once',
        '_exchange/guards.py',
        'with_start(call.client.send, refusal))',
        'call.client.send)',
    ),
    ('the scope is lent', '_exchange/exchange.py', 'Call(plan, declared, scope,', 'Call(plan, declared, dict(scope),'),
    (
        'two readers have a scope each',
        '_exchange/overtaking.py',
        'call=replace(call, scope=dict(call.scope))',
        'call=call',
    ),
    (
        'bounds: followers wait',
        '_exchange/herd.py',
        'flight.outcome(self._until - time.monotonic())',
        'flight.outcome(3600)',
    ),
    ('speed: a hit at once', '_exchange/exchange.py', 'at_once(plan, declared, scope, body=whole)\n', 'None, None\n'),
]
