"""Places to weaken in what is noted of raw requests: name, file, text that stands there, text in its place."""

_NOTING, _VALUES, _SCOPE = '_fastapi/noting.py', '_fastapi/noted_values.py', '_fastapi/noted_scope.py'

ROWS = [
    ('noted: a header', _VALUES, "self._reads.note(f'header:{name}' if name.isascii() else HEADERS)", 'pass'),
    ('noted: all headers', _VALUES, "_list: Any = _part('_list', HEADERS)", "_list: Any = _part('_list')"),
    ('noted: a query parameter', _VALUES, "self._reads.note(f'query:{key}' if type(key) is str else QUERY)", 'pass'),
    ('noted: the query', _VALUES, "_list: Any = _part('_list', QUERY)", "_list: Any = _part('_list')"),
    ('noted: a cookie', _VALUES, "self._reads.note(f'cookie:{key}' if type(key) is str else COOKIES)", 'pass'),
    ('noted: all cookies', _NOTING, "    reads.note('header:cookie')\n", ''),
    ('noted: the host', _VALUES, "hostname: Any = _part('hostname', HOST)", "hostname: Any = _part('hostname')"),
    ('noted: the scheme', _VALUES, "scheme: Any = _part('scheme', SCHEME)", "scheme: Any = _part('scheme')"),
    ('noted: the URL', _VALUES, "_url: Any = _part('_url', *_ALL_OF_URL)", "_url: Any = _part('_url')"),
    (
        'noted: the port',
        _NOTING,
        "reads.note(CLIENT if use_of_result(frame) in {('attribute', 'host'), ('test', '')} else CLIENT_AND_PORT)",
        'reads.note(CLIENT)',
    ),
    ('noted: what middleware left', _VALUES, "            self._reads.note(f'state:{key}')\n", '            pass\n'),
    ('noted: an item of the scope', _SCOPE, "            self._reads.note(f'scope:{key}')\n", '            pass\n'),
    (
        'noted: all of the scope',
        _SCOPE,
        '        self._reads.note(EVERYTHING)\n        return self._real',
        '        return self._real',
    ),
    ('noted: in a response', _NOTING, 'if _is_sent_by_framework(kind):', 'if True:'),
    (
        'noted: by handlers',
        '_fastapi/handlers.py',
        'await handler(noted(connection, reads), error)',
        'await handler(connection, error)',
    ),
    (
        'noted: schemes that are called by hand',
        '_fastapi/callers.py',
        'return is_called_for_itself and any(scheme is it for it in schemes)',
        'return True',
    ),
    ('noted: a value that goes on after its test', '_fastapi/callers.py', "'JUMP_IF_FALSE',", "'JUMP_IF',"),
    (
        'read: the values of a group',
        '_core/variants.py',
        'digest((variants.token, fields, group, values))',
        'digest((variants.token, fields, group))',
    ),
    (
        'read: what cannot be compared',
        '_core/read_log.py',
        'NOT_PLAIN if values is None else values[0]',
        'None if values is None else values[0]',
    ),
    ('read: objects', '_core/plain.py', '    raise NotPlainError\n\n\ndef person(', '    return name\n\n\ndef person('),
    (
        'read: followers',
        '_exchange/herd.py',
        'return variants is None or brought.entry.key in',
        'return True or brought.entry.key in',
    ),
    ('read: names in Vary', '_core/read_names.py', "if TOKEN.fullmatch(it.decode('latin-1'))", 'if it'),
    (
        'read: handed on by an unnamed guard',
        '_fastapi/read_steps.py',
        'node.name is None and handed.isdisjoint(id(it.call) for it in tree(node, {}))',
        'node.name is None',
    ),
    ('authorization: a user', '_exchange/plan.py', ' or has_user(scope)', ''),
    ('authorization: a context variable', '_exchange/plan.py', 'return variable is None', 'return True'),
]
