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
    ('bound of memory', 'memory.py', 'while self._bytes > self.max_bytes or', 'while'),
    ('ended in memory', 'memory.py', 'if kept is not None and kept.ends_at > self._clock():', 'if kept is not None:'),
    ('lru', 'memory.py', 'self._kept.move_to_end(key)', 'pass'),
    (
        'unmet: at start',
        'cache.py',
        '        self._settings.unserved.warn(app)\n        tell_of_workers(',
        '        tell_of_workers(',
    ),
    ('unmet: at a context', 'context.py', '        warn_of_unserved(self._app)\n', ''),
    (
        'unmet: at a write',
        'cache.py',
        "            self._settings.unserved.warn(scope.get('router') or scope.get('app'))\n",
        '',
    ),
    ('unmet: explained', '__main__.py', 'for warning in settings.unserved.take():', 'for warning in ():'),
    ('workers: at start', 'cache.py', '        tell_of_workers(is_shared=self._settings.store.is_shared)\n', ''),
    ('workers: explained', 'explain.py', 'not plan.runtime.store.is_shared and is_one_of_several()', 'False'),
    ('unmet: explained route', 'explain.py', 'decoration is not None and not isinstance(route, CachingRoute)', 'False'),
]
