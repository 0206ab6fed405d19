"""Places to weaken in what runs at a time: name, file, text that stands there, text that stands there then."""

ROWS = [
    (
        'observers: one that raises anything',
        '_concurrency/observers.py',
        'except BaseException as',
        'except Exception as',
    ),
    ('observers: of the request', '_concurrency/observers.py', '            _cut_off(failed, sys.exc_info()[1])\n', ''),
    ('observers: the end of the process', '_concurrency/observers.py', '(KeyboardInterrupt, SystemExit)', '()'),
    ('purge: runs that nobody follows', '_concurrency/flights.py', '        self._alone.add(flight)\n', ''),
    ('observers: one that raises', '_concurrency/observers.py', '            self.drop(observer)\n', ''),
    ('herd: what is stored', '_concurrency/flights.py', '        self.stored = self.stored or stored\n', ''),
    ('herd: old flights', '_concurrency/flights.py', ' and time.monotonic() - flight.began_at < seconds', ''),
    ('late: our own', '_concurrency/lateness.py', 'left = seconds + late -', 'left = seconds -'),
    ('workers: reloaded', '_concurrency/workers.py', 'return 1 if config.should_reload else', 'return'),
    ('workers: siblings', '_concurrency/workers.py', '(workers == 1 and _has_siblings(server))', 'False'),
    ('workers: other apps', '_concurrency/workers.py', '_alike(_command(it)) == _alike(own) and', 'True and'),
    (
        'workers: other programs',
        '_concurrency/workers.py',
        'return SERVERS.issuperset(',
        'return True or SERVERS.issuperset(',
    ),
    ('workers: shared store', '_concurrency/workers.py', 'if not is_shared and not', 'if not'),
    ('workers: once', '_concurrency/workers.py', '        _has_told.set()\n', ''),
    (
        'context: other values',
        '_concurrency/context_variables.py',
        'if not (variable in self._known and self._known[variable] is value) and',
        'if variable not in self._known and',
    ),
    ('bounds: remembered keys', '_concurrency/pauses.py', 'if len(self._numbers) > MAX_KEYS:', 'if False:'),
    (
        'commands: never cancelled',
        '_concurrency/lateness.py',
        '    if not running.done() or running.cancelled():\n',
        '    running.cancel()\n    if not running.done() or running.cancelled():\n',
    ),
]
