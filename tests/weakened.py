"""Weakens the library in one place after another, and sees whether a test fails for each.

uv run python -m tests.weakened            all of them, about ten minutes
uv run python -m tests.weakened guards     those with this name
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
LEFT_OUT = ('.git', '.venv', 'site', '.hypothesis', '__pycache__', '.mypy_cache', '.ruff_cache', '.pytest_cache')
TESTS = (
    'http',
    'control',
    'invalidation',
    'attacks',
    'guards',
    'keys',
    'dependencies',
    'store',
    'memory',
    'links',
    'route',
    'kinds',
    'speed',
    'choice',
    'mended',
    'unmet',
    'models',
    'caches_in_front',
    'raw_requests',
    'refusing',
    'said',
    'response_headers',
    'body_limit',
    'full_store',
    'slow_links',
    'withdrawn',
    'renewals',
    'trio',
    'deploys',
    'defaults',
    'handed_on',
    'long_names',
)

KEPT_LIST = """

_lists = {}


def _keep(entry, headers, signs):
    got = _lists.setdefault(entry.key, list(headers))
    names = {name for name, _ in signs}
    got[:] = [field for field in got if field[0] not in names] + list(signs)
    return got
"""

# What is weakened, in which file, what stands there, and what stands there then.
WEAKENED = [
    ('key.py path', '_key.py', '            path,\n            _path_values', '            _path_values'),
    (
        'path params',
        '_key.py',
        '            _path_values(scope),\n',
        '',
    ),
    (
        'body',
        '_key.py',
        "(blake2b(body).digest(), lines(scope['headers'], b'content-type'))",
        '()',
    ),
    (
        'content-type',
        '_key.py',
        "(blake2b(body).digest(), lines(scope['headers'], b'content-type'))",
        '(blake2b(body).digest(),)',
    ),
    ('raw parts', '_key.py', 'raw_parts(scope, inputs.left_out) if inputs.raw else ()', '()'),
    ('identity name', '_key.py', '            who or (),\n', ''),
    ('identity of route', '_key.py', '(KEY_FORMAT, identity, inputs.fingerprint)', '(KEY_FORMAT, inputs.fingerprint)'),
    (
        'person rule',
        '_key.py',
        "        if name not in covered:\n            return name.decode('ascii')",
        '        pass',
    ),
    ('session', '_key.py', "    if scope.get('session') and b'cookie' not in carried:\n        return 'session'\n", ''),
    ('user key disarm', '_key.py', "return _DECLARED.sub(r'\\1%3A', escaped(key))", 'return escaped(key)'),
    (
        'variants by vary',
        '_varying.py',
        '    varying = {*vary, *(() if inputs.declared else inputs.selecting)}',
        '    varying = set()',
    ),
    ('many variants', '_varying.py', 'known=known[-MOST_VARIANTS:]', 'known=known'),
    ('entry key check', '_visit.py', ' or found.key != key', ''),
    (
        'entry key check in memory',
        '_visit.py',
        'if found.key == key else None\n        return None if stale_at',
        'if True else None\n        return None if stale_at',
    ),
    ('query read', '_fastapi/inputs.py', "query.read(QueryParams(scope['query_string']))", '()'),
    ('query of a line', '_key.py', "scope['query_string'] if self._inputs.reads_query else b''", "b''"),
    ('path of a line', '_key.py', "scope['method'], path, query", "scope['method'], query"),
    ('method of a line', '_key.py', "scope['method'], path, query", 'path, query'),
    ('more than the line', '_key.py', 'if not self._inputs.line_is_all:', 'if False:'),
    ('header read', '_fastapi/inputs.py', "headers.read(Headers(raw=scope['headers']))", '()'),
    ('cookie read', '_fastapi/inputs.py', 'cookies.read(HTTPConnection(scope).cookies)', '()'),
    ('vary_headers read', '_fastapi/inputs.py', "selected(scope['headers'], reading.vary)))", '()))'),
    ('credentials', '_fastapi/inputs.py', '_given(scope, handed)', '()'),
    ('override serial', '_fastapi/inputs.py', '            override,\n', ''),
    ('whole of open models', '_fastapi/parameters.py', 'if info.metadata or _sees_all(model):', 'if False:'),
    ('metadata of models', '_fastapi/parameters.py', 'if info.metadata or _sees_all(model):', 'if _sees_all(model):'),
    ('default looks', '_fastapi/parameters.py', ' and _looks(value) == looks', ''),
    ('default errors', '_fastapi/parameters.py', 'return not errors and ', 'return '),
    ('model fields set', '_fastapi/parameters.py', 'shown, _kind(each), None)', 'shown, _kind(each), lambda r: True)'),
    (
        'guards',
        '_fastapi/declared.py',
        'self._admission(() if self._early else explicit, guards, overrides)',
        'self._admission(() if self._early else explicit, ())',
    ),
    (
        'explicit on hit',
        '_fastapi/declared.py',
        'self._admission(() if self._early else explicit, guards, overrides)',
        'self._admission((), guards, overrides)',
    ),
    (
        'explicit on miss',
        '_fastapi/declared.py',
        'extended_handler(self._effective, late, steps, admitting) if explicit or may_refuse else None',
        'None',
    ),
    (
        'explicit uncached',
        '_fastapi/declared.py',
        'extended_handler(self._effective, foreign, ()) if foreign else None',
        'None',
    ),
    ('handler raw variant', '_varying.py', '{ALL_FIELDS} if all_fields else set()', 'set()'),
    ('override of explicit', '_fastapi/inputs.py', '*(overridden(it, overrides) for it in explicit)', '*explicit'),
    (
        'checks of person for handlers',
        '_fetch.py',
        "            self.recorder.doubt = 'exception-handler'",
        '            pass',
    ),
    (
        'named guards',
        '_fastapi/security.py',
        'return node.name is None or any(is_scheme(it) or _reads_a_person(it) for it in tree)',
        'return node.name is None',
    ),
    (
        'own __call__',
        '_fastapi/security.py',
        "    if not called.__module__.startswith('fastapi.security'):\n        return None\n",
        '',
    ),
    ('disconnect doubt', '_fetch.py', "            self.recorder.doubt = 'disconnected'", '            pass'),
    (
        'fields of one client stored',
        '_fetch.py',
        'kept = [field for field in self.answer.fields if field not in of_guards] if of_guards else self.answer.fields',
        'kept = mine',
    ),
    (
        'guards called directly',
        '_fastapi/admission.py',
        '            return False\n        return bool(self._schemes)',
        '            return True\n        return bool(self._schemes)',
    ),
    ('guards with overrides', '_fastapi/admission.py', 'explicit or overridden or', 'explicit or'),
    ('a hit with guards', '_hit.py', ' or declared.on_hit is not None', ''),
    ('a hit with demands', '_hit.py', ' or plan.heeds_demands', ''),
    (
        'a hit that is stale',
        '_hit.py',
        'if not reuse.is_free(left, validated_always=entry.validated_always):',
        'if False:',
    ),
    (
        'shaped',
        '_written.py',
        'if not self.shaped or not any(by_guards):',
        'if not any(by_guards):',
    ),
    ('written: shaped', '_fastapi/noting.py', 'made is self._response or (are_there if wrote else was_read)', 'True'),
    ('written: others', '_written.py', '        apply(others, headers)\n', ''),
    ('written: not stored', '_entry.py', 'made.less(left_out_names) if made.by_others else made', 'made'),
    ('written: followers', '_client.py', '        self.by_guards = by_guards\n', ''),
    ('written: cache-control', '_exchange.py', 'headers = self.client.headers_of(entry)', 'headers = entry.headers'),
    (
        'written: planted',
        '_wire.py',
        'all(_legal(it[1:]) for operations in head.by_others for it in operations)',
        'True',
    ),
    ('handed on', '_fastapi/handing.py', 'if value is not None:', 'if False:'),
    (
        'handed on: scopes',
        '_fastapi/handing.py',
        'tuple(sorted({scope for scopes in given for scope in scopes}))',
        '()',
    ),
    ('handed on: raised', '_fastapi/handing.py', '                handed[RAISED] = error\n', ''),
    (
        'handed on: ends with the function',
        '_fastapi/handing.py',
        "(is_generator and getattr(node, 'scope', None) == 'function')",
        'False',
    ),
    ('trio', '_plan.py', '        if on_asyncio():\n', '        if True:\n'),
    ('trio: writes', '_writes.py', '            store.invalidate_soon(tuple(names))\n', '            pass\n'),
    ('body limit of a route', 'route.py', 'if reached.body_limit is not None:', 'if False:'),
    ('range that is not valid', '_validation.py', 'not ranges.is_valid(asked)', 'False'),
    (
        'tasks of guards',
        '_fastapi/admission.py',
        'if await self._proceed(send) and self.background is not None:',
        'await self._proceed(send)\n        if self.background is not None:',
    ),
    (
        'own class reads raw',
        '_fastapi/effective.py',
        "return handlers or any('handle' in vars(it) for it in inside)",
        'return False',
    ),
    ('response model in identity', '_fastapi/effective.py', '        described(effective.response_model),\n', ''),
    (
        'twins',
        '_planning.py',
        'identity = (*description_of(decoration, effective), twin)',
        'identity = description_of(decoration, effective)',
    ),
    ('set-cookie', '_http/storing.py', "        'set-cookie': b'set-cookie' in present,\n", ''),
    ('no-store', '_http/storing.py', '(said.no_store and not understood) or ', ''),
    ('private', '_http/storing.py', "        'private': said.private,\n", ''),
    ('vary *', '_http/storing.py', "        'vary': b'*' in names(response, b'vary'),\n", ''),
    (
        'twins as they ask',
        '_planning.py',
        'if not twins.knows(description, objects):',
        'if not effective:',
    ),
    ('admitted before', '_fetch.py', '            self.scope.pop(name, None)', '            pass'),
    ('tried again', '_fastapi/extended.py', '                request.scope[HANDLER] = chosen', '                pass'),
    ('422 of a guard', '_fastapi/extended.py', 'request.scope[ADMITTED] = False', 'pass'),
    ('refusals on misses', '_fastapi/declared.py', 'if explicit or may_refuse else', 'if explicit or guards else'),
    ('preconditions', '_keeping.py', 'return sees_them and', 'return False and'),
    ('cookies for one', '_fastapi/inputs.py', ' and not cookies,', ','),
    ('errors are short-lived', '_http/terms.py', 'return status >= 400 and', 'return False and'),
    (
        'a failed renewal',
        '_keeping.py',
        ' or _stands(fetch, status)',
        '',
    ),
    (
        'awaited store_if',
        '_planning.py',
        '            if not isawaitable(said):\n                return',
        '            return',
    ),
    ('412 and 416', '_checks.py', 'status not in OF_ONE_REQUEST', 'status not in (206, 304)'),
    ('skip', '_finding.py', 'if skipped is not False:', 'if skipped is None:'),
    ('skip in the short way', '_hit.py', ' or plan.skip is not None', ''),
    ('store_if', '_recorder.py', 'if self._wanted is not None and not self._wanted(recording):', 'if False:'),
    ('status_ttl', '_http/terms.py', 'dict(self.status_ttl).get(status, self.ttl)', 'self.ttl'),
    ('nobody waits for store_if', '_flights.py', "'store-if', ", ''),
    (
        'authorization',
        '_http/storing.py',
        "        'authorization': not (terms.authorization_covered or storable_with_authorization(request, said)),\n",
        '',
    ),
    ('signature', '_wire.py', 'return content if valid else None', 'return content'),
    ('checksum', '_wire.py', ' or crc32(memoryview(raw)[_PREFIX.size :]) != checksum', ''),
    ('legal fields', '_wire.py', ' or not _plausible(head)', ''),
    (
        'fresh messages',
        '_client.py',
        "'headers': [*headers, *signs]}",
        "'headers': _keep(entry, headers, signs)}",
    ),
    (
        'session made meanwhile',
        '_keeping.py',
        "        return 'session'  # it becomes a cookie outside of us",
        '        pass',
    ),
    (
        'fields of guards stored',
        '_fetch.py',
        'if field not in of_guards]',
        ']',
    ),
    ('user in the key', '_key.py', '(*where, tuple(fields), _user_parts(scope))', '(*where, tuple(fields))'),
    (
        'guards that stay on misses',
        '_fastapi/inputs.py',
        'if not is_guard or dependency.name is not None',
        'if dependency.name is not None',
    ),
    (
        'named guards under shared',
        '_fastapi/inputs.py',
        'if not is_guard or dependency.name is not None',
        'if not is_guard',
    ),
    (
        'models: another name',
        '_fastapi/parameters.py',
        'shown=shown) if names else None',
        'shown=shown) if not apart else None',
    ),
    (
        'models: all of a place',
        '_fastapi/parameters.py',
        '        if self.names is None or not any(',
        '        if self.names is None and apart:\n            return None\n        if self.names is None or not any(',
    ),
    ('models: named guards', '_fastapi/inputs.py', '    if headers_of_guards:', '    if False:'),
    (
        'models: preconditions of a POST',
        '_planning.py',
        """ and not cache.methods.intersection(effective.methods) - {
        *METHODS_BY_THE_BOOK
    }""",
        '',
    ),
    (
        'models: Cookie as a header',
        '_fastapi/security.py',
        "frozenset(('authorization', 'cookie'))",
        "frozenset(('authorization',))",
    ),
    ('in front: raw', '_fastapi/inputs.py', "*(('the raw request',) if raw else ())", '*()'),
    (
        'in front: all headers',
        '_fastapi/inputs.py',
        "*(('all headers',) if headers.is_whole or",
        "*(('all headers',) if",
    ),
    ('in front: credentials', '_fastapi/inputs.py', "*(() if shared else ('credentials or cookies',))", '*()'),
    (
        'in front: identity',
        '_fastapi/inputs.py',
        "*(('what identity says',) if reading.guards_select else ()),\n        *(('whom",
        "*(('whom",
    ),
    (
        'in front: guards',
        '_fastapi/inputs.py',
        'reading.shared and not reading.public and (guards or explicit)',
        'False',
    ),
    ('in front: key builder', '_fastapi/inputs.py', '        for_all=False,', '        for_all=True,'),
    (
        'in front: exception handlers, on a miss',
        '_fetch.py',
        'for_all=False) if self.varies_with_all',
        'for_all=False) if False',
    ),
    (
        'in front: exception handlers, on a hit',
        '_varying.py',
        ' and (variants is None or ALL_FIELDS not in variants.selecting)',
        '',
    ),
    ('in front: s-maxage', '_decoration.py', 'it.public or it.s_maxage is not None', 'it.public'),
    ('in front: includes', 'route.py', 'for doubt in doubts(decoration.policy, plan.declared()):', 'for doubt in ():'),
    ('raw: client', '_key.py', "tuple(scope.get('client') or ())[:1]", '()'),
    ('raw: server', '_key.py', "tuple(scope.get('server') or ())", '()'),
    ('raw: forwarded', '_key.py', "*('cdn-loop', 'via'),", "*('cdn-loop', 'via', 'x-forwarded-host'),"),
    (
        'raw: dependencies are guards',
        '_fastapi/security.py',
        ' or takes_the_request(it) for it in tree',
        ' for it in tree',
    ),
    ('refusing: told', '_decoration.py', 'in dict.fromkeys(declared.refusing)', 'in ()'),
    ('refusing: handlers of the app', '_fastapi/refusing.py', '(*_ANSWERED, *classes)', '_ANSWERED'),
    ('refusing: assigned before', '_fastapi/refusing.py', 'made.get(node.exc.id, node.exc) if', 'node.exc if'),
    ('deploys: schema', '_planning.py', ', twin, *outlines_of(effective))', ', twin)'),
    ('deploys: sets', '_fastapi/schemas.py', 'sorted(items, key=repr) if has_sets and in_default else items', 'items'),
    ('deploys: beside what has no schema', '_fastapi/schemas.py', 'schema_generator=_Forgiving, ', ''),
    ('overrides: key builder', '_key.py', 'user_key(key) + suffix', 'user_key(key)'),
    (
        'defaults: plain types',
        '_fastapi/parameters.py',
        'if not is_plain(field.field_info.annotation) or _runs',
        'if _runs',
    ),
    (
        'defaults: code of the user',
        '_fastapi/parameters.py',
        'is_plain(field.field_info.annotation) or _runs_code_of_the_users(field):',
        'is_plain(field.field_info.annotation):',
    ),
    (
        'defaults: types',
        '_fastapi/plain.py',
        'return (kind, value.isoformat() if',
        'return (None, value.isoformat() if',
    ),
    ('what is planted', '_wire.py', ' or not _plausible(head)', ''),
    (
        'herd: refusals',
        '_keeping.py',
        'if not fetch.is_admitted or _stands',
        'if _stands',
    ),
    (
        'herd: guards of followers',
        '_exchange.py',
        'await self.admit(self.declared.on_hit, partial(self.reply_as_follower, entry, why))',
        'await self.reply_as_follower(entry, why)',
    ),
    ('herd: closing', '_keeping.py', 'fetch.flight.closing = True', 'pass'),
    ('herd: variants', '_herd.py', 'self.suits(shared) and ', ''),
    ('herd: who leads', '_herd.py', ' if self.may_lead() else Next.ALONE', ''),
    (
        'herd: alone',
        '_fetch.py',
        '            self.plan.alone.begin(self.key, self.plan.clock(), ALONE)\n',
        '            pass\n',
    ),
    ('herd: pauses', '_fetch.py', '            self.plan.failed.lengthen(self.key, self.plan.clock())\n', ''),
    (
        'herd: renewals',
        '_exchange.py',
        '            self.plan.unrenewed.lengthen(self.key, self.plan.clock())',
        '            pass',
    ),
    ('herd: softened', '_moments.py', 'max(softened, self._last(names))', 'self._last(names)'),
    ('herd: owed', '_keeping.py', 'visit.owes_more(entry.names, since=fetch.owed_before)', 'False'),
    ('herd: landed since', '_herd.py', 'flights.has_brought(self.flight_key, self.landings)', 'False'),
    ('herd: owner', '_drivers.py', 'if found == stored and await', 'if await'),
    ('herd: old flights', '_flights.py', ' and time.monotonic() - flight.began_at < seconds', ''),
    ('herd: no-store of a request', '_herd.py', " or reuse.asks_for_no_storing(self._scope['headers'])", ''),
    (
        'herd: a run in two',
        '_validation.py',
        '        behind_guards, fetch.behind_guards = fetch.behind_guards, for_nobody\n',
        '        behind_guards = fetch.behind_guards\n',
    ),
    ('tickets of debts', '_debts.py', ' if self._names.get(name) is ticket]', ']'),
    ('a token is sent once', '_drivers.py', 'Retry(NoBackoff(), 0)', 'Retry(NoBackoff(), 3)'),
    ('a closed batch', '_link.py', '            self._batch = None  # it is closed\n', '            pass\n'),
    ('keys taken once', '_link.py', '        keys = list(together)\n', '        keys = list(together)[:2]\n'),
    ('whole lines', '_drivers.py', 'partial(_whole_line, reader.readline)', 'reader.readline'),
    (
        'own time-out off',
        '_linked.py',
        '        ours.timeout = None  # aiocache would cancel what takes longer\n',
        '        ours.timeout = 0.01\n',
    ),
    ('probes', '_linked.py', 'looking.begin(partial(self._look_again, ill))', 'pass'),
    (
        'breaker',
        '_linked.py',
        '        if self._breaker.is_open(kind):\n            msg',
        '        if False:\n            msg',
    ),
    ('bound of memory', 'memory.py', 'while self._bytes > self.max_bytes or', 'while'),
    ('ended in memory', 'memory.py', 'if kept is not None and kept.ends_at > self._clock():', 'if kept is not None:'),
    ('lru', 'memory.py', '            self._kept.move_to_end(key)\n', ''),
    ('one budget', '_visit.py', '            self._left = commands.left\n', '            pass\n'),
    ('what is owed', '_visit.py', ' or self._store.debts.include(found.names)', ''),
    (
        'moments of what is under way',
        '_moments.py',
        'return max(softened, self._last(names)) <= begun',
        'return True',
    ),
    ('names below', '_names.py', ', *_ancestors(path)', ''),
    ('name of the path', '_names.py', ', of_path(path), *_anc', ', *_anc'),
    (
        'name of the namespace',
        '_names.py',
        ', *(() if namespace is None else (of_namespace(namespace),)))',
        ')',
    ),
    ('name of the key', '_names.py', '            found.append(of_key(key))', '            pass'),
    (
        'name of the endpoint',
        '_names.py',
        '(EVERYTHING, *of_places, ',
        '(EVERYTHING, ',
    ),
    ('values that are validated', '_fastapi/path_values.py', '(value if errors else values[field.name])', 'value'),
    ('tags of the context', '_keeping.py', '*sorted(map(of_tag, fetch.fate.tags))', ''),
    ('refusal at the end of a stream', '_fetch.py', 'if step.passed:  # endpoints', 'if False:  # endpoints'),
    ('own path of a write', 'route.py', ' if it.invalidate_on_write]', ' if False]'),
    ('not after an error', '_writes.py', "200 <= message['status'] < 400", "200 <= message['status'] < 600"),
    (
        'not after an error on a plain route',
        '_fastapi/writing.py',
        '(status or self.response.status_code or 200) < 400',
        'True',
    ),
    ('again at the end of a stream', '_writes.py', '            elif self._streams:\n', '            elif False:\n'),
    (
        'guards before what is stale',
        '_exchange.py',
        'await self.admit(self.declared.on_hit, partial(self.reply, entry, age, left))',
        'await self.reply(entry, seconds, left)',
    ),
    (
        'a context that is no raw access',
        '_fastapi/security.py',
        '    if node.call in OURS:\n        return False\n',
        '',
    ),
    (
        'guards before what stands in',
        '_fetch.py',
        "await self.behind_guards(partial(stand_in, self, self.client, 'stale-if-error'))",
        "await stand_in(self, self.client, 'stale-if-error')",
    ),
    (
        'guards before what is confirmed',
        '_fetch.py',
        'await self.behind_guards(partial(confirm, self))',
        'await confirm(self)',
    ),
    (
        'guards before nothing',
        '_exchange.py',
        'await self.admit(self.declared.on_hit, partial(self.client.reply_nothing, signs))',
        'await self.client.reply_nothing(signs)',
    ),
    ('parts that are compressed', '_http/answer.py', "fields.append((b'content-encoding', b'identity'))", 'pass'),
    ('asking about tags of ours', '_http/conditional.py', '[] if our_tag else', '[] if False else'),
    ('private where it is not shared', '_plan.py', 'if may_be_for_all(inputs, variants) else', 'if True else'),
    ('a failure after the answer began', '_fetch.py', 'if self.passed_on or not', 'if not'),
    ('full: marks', '_marks.py', '        await store.delete(key)\n', '        pass\n'),
    (
        'full: last before marks',
        '_marks.py',
        '# Who adds names meanwhile will see that it has begun.\n        await _renew(store, self.beside[0])\n',
        'await store.set(self.beside[0], token_urlsafe(9), FOREVER)\n',
    ),
    ('full: not asked', '_linked.py', 'not asked: {self._breaker.why.get(kind)}', 'not asked'),
    ('full: hits without last', '_marks.py', "            return ''\n", '            raise\n'),
    ('long names: short', '_key.py', '    return key[: MAX_KEY_BYTES - len(tail)] + tail', '    return key'),
    ('long names: digest', '_names.py', '%~{digest(text)}', '%~'),
    ('large: apart', '_link.py', "name = keys[0] if is_large else ''", "name, is_large = '', False"),
    ('large: no failure', '_link.py', 'if not (answered or self._is_large):', 'if not answered:'),
    ('large: others answered', '_link.py', 'if not (answered or self._is_large):', 'if not self._is_large:'),
    ('large: given up alone', '_link.py', 'alone=answered)', 'alone=False)'),
    ('late: commands', '_shelf.py', 'self._until += self._shelf.late() - late_before', 'pass'),
    ('late: our own', '_lateness.py', 'left = seconds + late -', 'left = seconds -'),
    (
        'withdrawn: at all',
        '_fetch.py',
        '            if step.complete is None and is_last(message):\n                await end_stored(self, self.visit)\n',
        '',
    ),
    (
        'withdrawn: what cannot be stored',
        '_keeping.py',
        '    if reason is not None and is_new:\n        await end_stored(fetch, visit)\n',
        '',
    ),
    ('withdrawn: not by a refusal', '_keeping.py', 'if not fetch.scope.get(OF_THE_ENDPOINT) or fetch', 'if fetch'),
    (
        'withdrawn: not by a guard',
        '_fastapi/noting.py',
        '    request.scope[OF_THE_ENDPOINT] = False\n',
        '',
    ),
    (
        'withdrawn: not by a guard that does not run on hits',
        '_fastapi/extended.py',
        'async def _refusal_begins(request: Request) -> None:\n    request.scope[OF_THE_ENDPOINT] = False',
        'async def _refusal_begins(request: Request) -> None:\n    pass',
    ),
    (
        'withdrawn: not by values that are not valid',
        '_fastapi/extended.py',
        'request.scope[ADMITTED] = request.scope[OF_THE_ENDPOINT] = False',
        'request.scope[ADMITTED] = False',
    ),
    ('withdrawn: not by what breaks off', '_keeping.py', ' or fetch.recorder.doubt in INCOMPLETE', ''),
    ('withdrawn: not by a limit', '_http/storing.py', ' or status == TOO_MANY_REQUESTS', ''),
    ('withdrawn: not by a HEAD', '_http/storing.py', "method == 'HEAD' or status >= 500", 'status >= 500'),
    (
        'withdrawn: not by a part',
        '_http/storing.py',
        ' or status in OF_ONE_REQUEST:\n        return False',
        ':\n        return False',
    ),
    (
        'withdrawn: remembered where it cannot be deleted',
        '_visit.py',
        'if endings.includes(key, found.stored_at):',
        'if False:',
    ),
    (
        'withdrawn: by a run that began before',
        '_keeping.py',
        'return any(endings.have_come',
        'return False and any(endings.have_come',
    ),
    ('withdrawn: another entry', '_validation.py', ' and found.entry == entry', ''),
    (
        'renewals: conditions that are declared',
        '_variants.py',
        'return {*inputs.conditions, *selecting}',
        'return selecting',
    ),
    (
        'renewals: conditions that select a variant',
        '_variants.py',
        'return {*inputs.conditions, *selecting}',
        'return {*inputs.conditions}',
    ),
    ('renewals: ranges that are validated', '_http/conditional.py', '.difference(kept) if asked', ' if asked'),
    ('refusals alike', '_exchange.py', 'with_start(self.client.send, refused)', 'self.client.send'),
    ('said: before', '_fastapi/ending.py', 'for name in (BEFORE, AFTER):', 'for name in (AFTER,):'),
    ('said: after', '_fastapi/ending.py', 'for name in (BEFORE, AFTER):', 'for name in (BEFORE,):'),
    (
        'said: last of all',
        '_fastapi/ending.py',
        '    stack.push_async_exit(last)\n    stack.push_async_exit(others)',
        '    stack.push_async_exit(others)\n    stack.push_async_exit(last)',
    ),
    ('said: failed', '_fastapi/ending.py', 'if said.has_succeeded:', 'if True:'),
    ('said: at once', '_fastapi/ending.py', "at_once=scope['type'] != 'http' or BEFORE not in scope", 'at_once=False'),
    ('said: too late', '_writes.py', 'if self._at_once or self.is_over:', 'if self._at_once:'),
    ('said: on a route', 'route.py', '[*targets, *said.take()]', 'targets'),
    ('said: when the response has left', 'route.py', 'reached.goes_on or said.has_more', 'reached.goes_on'),
    (
        'said: other caches',
        '_caches.py',
        'found = caches_in(app) or caches_in(None)',
        'found = caches_in(None)',
    ),
    (
        'said: all caches',
        '_caches.py',
        'found = caches_in(app) or caches_in(None)',
        'found = caches_in(app)',
    ),
    ('soon: in this process', '_store.py', '        self.debts.note(names, self._invalidate_anyway)\n', ''),
    (
        'soon: in memory',
        '_store.py',
        '            self.marks.note(names)\n            return\n        self.debts',
        '            return\n        self.debts',
    ),
    ('soon: thread', '_soon.py', '            self.in_thread()\n', '            pass\n'),
    ('soon: again', '_soon.py', '        while not self._is_done():', '        while False:'),
    ('soon: as it is closed', '_store.py', 'if self.debts and self.shelf.stores():', 'if False:'),
    ('soon: home', '_store.py', 'self._writer.home = asyncio.get_running_loop()', 'pass'),
    (
        'soon: at exit',
        '_debts.py',
        '        if self._names:\n            logger.warning(\n',
        '        if False:\n            logger.warning(\n',
    ),
    ('now: in a loop', '_soon.py', 'if _own_loop() is not None:', 'if False:'),
    (
        'now: again',
        '_store.py',
        '            await self.debts.pay_here(self._invalidate_anyway)  # to connect',
        '            pass  # to connect',
    ),
    (
        'now: tried on',
        '_store.py',
        '            self._writer.soon(self.shelf.loop())\n            raise',
        '            raise',
    ),
    (
        'unmet: at start',
        'cache.py',
        '        self.unmet.look(app)\n        async with self:',
        '        async with self:',
    ),
    ('unmet: at a context', 'context.py', '        look_for_unmet(self._app)\n', ''),
    ('unmet: at a write', 'cache.py', "            self.unmet.look(scope.get('router') or scope.get('app'))\n", ''),
    ('unmet: at a route', 'route.py', '        look_for_unmet(app)\n', ''),
    ('unmet: at exit', '_unmet.py', '    for it in list(_waiting):\n        it.look()', '    pass'),
    ('unmet: imports', '_unmet.py', 'self._look_later() if _imports() else self.look()', 'self.look()'),
    ('unmet: explained', '__main__.py', 'for warning in cache.unmet.take():', 'for warning in ():'),
    ('unmet: explained route', 'explain.py', 'decoration is not None and not isinstance(route, CachingRoute)', 'False'),
    ('soon: fork', '_soon.py', ' and self._home[1] == os.getpid()', ''),
    ('soon: fork of a loop', '_linked.py', ' and link.pid == os.getpid()', ''),
]


def weakened(folder: Path, file: str, there: str, instead: str) -> str:
    """Copy the project, change it in one place, and give the first test that fails; or nothing."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
    path = folder / 'fastapi_caching_route' / file
    text = path.read_text()
    if there not in text:
        sys.exit(f'{file} does not hold {there!r} any more')
    path.write_text(text.replace(there, instead) + (KEPT_LIST if '_keep(' in instead else ''))
    command = [sys.executable, '-m', 'pytest', '-q', '-x', '-p', 'no:cacheprovider']
    command += [*(f'tests/test_{it}.py' for it in TESTS), 'tests/http']
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)  # noqa: S603, our own command
    failed = [line for line in run.stdout.splitlines() if line.startswith(('FAILED', 'ERROR'))]
    return failed[0] if failed else ''


def main() -> None:
    survivors = 0
    for name, file, there, instead in WEAKENED:
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory() as folder:
            failed = weakened(Path(folder) / 'project', file, there, instead)
        survivors += not failed
        print(f'{name:34} {failed[:110] if failed else "NO TEST FAILS"}', flush=True)
    print(f'{survivors} without a test that fails')
    sys.exit(bool(survivors))


if __name__ == '__main__':
    main()
