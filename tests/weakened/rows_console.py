"""Places to weaken in the console: name, file, text that stands there, text that stands there then."""

_GUARDING, _LISTING, _MESSAGES = '_console/guarding.py', '_console/listing.py', '_console/messages.py'

ROWS = [
    ('console: no guards', 'console.py', 'if not dependencies and not unguarded:', 'if False:'),
    ('console: guards of all parts', 'console.py', 'dependencies=list(dependencies), include', 'include'),
    ('console: no-store', _GUARDING, "    'cache-control': 'no-store',\n", ''),
    ('console: frames', _GUARDING, "frame-ancestors 'none'; ", ''),
    ('console: markup', _GUARDING, "; require-trusted-types-for 'script'; trusted-types 'none'", ''),
    (
        'console: headers of refusals',
        _GUARDING,
        'super().handle(scope, receive, with_headers)',
        'super().handle(scope, receive, send)',
    ),
    ('console: Sec-Fetch-Site', _GUARDING, "return site not in {'same-origin', 'none'}", 'return False'),
    (
        'console: Origin',
        _GUARDING,
        "return origin is not None and not _is_own(origin, headers.getlist('host'))",
        'return False',
    ),
    ('console: two hosts', _GUARDING, 'hosts == [host]', 'host in hosts'),
    (
        'console: reading from elsewhere',
        _GUARDING,
        "if is_link and scope['method'] == 'GET':",
        "if scope['method'] == 'GET':",
    ),
    ('console: links that write', _GUARDING, "is_link and scope['method'] == 'GET'", 'is_link'),
    ('console: links and frames', _GUARDING, " and headers.get('sec-fetch-dest') == 'document'", ''),
    (
        'console: only JSON',
        _MESSAGES,
        "if request.headers.get('content-type', '').partition(';')[0].strip().lower() != 'application/json':",
        'if False:',
    ),
    ('console: large bodies', _MESSAGES, 'if len(body) > MOST_BYTES:', 'if False:'),
    ('console: built keys', _LISTING, 'return key if is_declared(key) else', 'return key if key else'),
    ('console: built keys of variants', _LISTING, 'public_key(it.variant_of)', 'it.variant_of'),
    ('console: personal bodies', _LISTING, 'or (is_personal and not personal):', 'or False:'),
    ('console: behind guards', _LISTING, 'not it.guards and not it.not_on_hit and ', ''),
    ('console: read of a request', _LISTING, ' and may_be_for_all(it.inputs, entry.read)', ''),
    ('console: routes of others', _LISTING, 'return bool(declared) and all(', 'return all('),
    ('console: work of a page', '_routes/listed.py', ' or pages >= MOST_PAGES', ''),
    (
        'listing: namesakes of namespaces',
        '_routes/listed.py',
        "return f'{root}:' if root and",
        'return root if root and',
    ),
    (
        'console: key_builder is not run',
        '_exchange/forecast.py',
        "for name in ('key_builder', 'identity'):",
        'for name in ():',
    ),
    ('console: endpoints of other caches', '_console/acting.py', ' and decoration.settings is settings', ''),
]
