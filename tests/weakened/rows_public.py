"""Places to weaken in the public modules: name, file, text that stands there, text that stands there then."""

ROWS = [
    ('body limit of a route', 'route.py', 'if reached.body_limit is not None:', 'if False:'),
    ('ttl by hand', 'cache.py', "if 'ttl' not in given:", 'if False:'),
    (
        'namespace of no letters',
        'policy.py',
        "        if self.namespace == '':\n            object",
        '        if False:\n            object',
    ),
    ('bound of memory', 'memory.py', 'while queues.bytes + size > self.max_bytes or', 'while'),
    ('ended in memory', 'memory.py', 'if held is not None and held.ends_at > self._clock():', 'if held is not None:'),
    ('hot in memory: used', 'memory.py', 'held.used = True', 'pass'),
    (
        'hot in memory: expired ones come back',
        'memory.py',
        'self._drop(key, comes_back=True) is not',
        'self._drop(key) is not',
    ),
    (
        'hot in memory: freed ones come back',
        'memory.py',
        'self._drop(keys.pop(), comes_back=True)',
        'self._drop(keys.pop())',
    ),
    (
        'hot in memory: replaced ones',
        'memory.py',
        'old = self._drop(key, comes_back=True) if',
        'old = self._drop(key) if',
    ),
    (
        'unmet: at start',
        '_routes/start_up.py',
        '[*found, *faults.warnings]:',
        'faults.warnings:',
    ),
    ('unmet: at a context', 'context.py', '        warn_of_unserved(self._app)\n', ''),
    (
        'unmet: at a write',
        'cache.py',
        "            self._settings.unserved.warn(scope.get('router') or scope.get('app'))\n",
        '',
    ),
    ('unmet: explained', '_cli/reporting.py', 'for warning in settings.unserved.take():', 'for warning in ():'),
    ('workers: at start', '_routes/start_up.py', '    tell_of_workers(is_shared=settings.store.is_shared)\n', ''),
    ('strict', '_routes/start_up.py', 'if settings.strict and wrong:', 'if False:'),
    ('workers: explained', 'explain.py', 'not plan.runtime.store.is_shared and is_one_of_several()', 'False'),
    ('unmet: explained route', 'explain.py', 'decoration is not None and not isinstance(route, CachingRoute)', 'False'),
]
