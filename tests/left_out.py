"""The steps of invalidation, each of which the simulation and the race can leave out."""

import sys
import types
from pathlib import Path

from fastapi_caching_route._store import copies, ledger, marks, remote_visit
from tests.store.journals import LEFT_OUT as LEFT_OUT_OF_JOURNALS

# A step of the algorithm, what stands there, and what stands there when it is left out.
LEFT_OUT = {
    'the new mark': (
        (
            '        for batch in _batches(keys):\n'
            '            await asyncio.gather(*(_renew(store, key, life, when) for key in batch))\n'
        ),
        '',
    ),
    '`last` before the marks': (
        'will see that it has begun.\n        await _renew(store, self.beside[0], FOREVER)\n',
        '\n',
    ),
    '`last` after the marks': (
        'will look again.\n        await _renew(store, self.beside[0], FOREVER)\n',
        '\n',
    ),
    'a missing mark is a miss': (
        '    if list(held) == tokens:',
        '    if all(token in (None, mine) for token, mine in zip(tokens, held)):',
    ),
    'compare `last` on a hit': ('if last and known_last == last and marks', 'if last and marks'),
    'compare the marks of what was found alive': (' and marks == entry.marks:', ':'),
    'take the `last` from before the marks were read': (
        '        if stale_at is not None and last:\n',
        '        last = (await store.get(self.beside))[0] or ""\n        if stale_at is not None and last:\n',
    ),
    'compare `last` where names were added': ('(added or await', '(await'),
    'read `last` after the marks that were added': (
        'has changed `last` by now.\n            (last,) = await store.get(self.beside)\n',
        'has changed `last` by now.\n',
    ),
    'a hard invalidation writes the soft mark too': (
        '(_SOFT, _HARD) if soft_at is None',
        '(_HARD,) if soft_at is None',
    ),
    'a hard invalidation writes the hard mark': ('(_SOFT, _HARD) if soft_at is None', '(_SOFT,) if soft_at is None'),
    'the hard mark is looked at where entries may be stale': (
        'if not entry.windowed or tokens[count:] != list(held[count:]):',
        'if not entry.windowed:',
        'return min(moments) if',
        'return min(moments, default=math.inf) if',
    ),
    'a soft mark turns entries stale': (
        '    return min(moments) if all(moment > 0 for moment in moments) else None',
        '    return math.inf',
    ),
    'read the marks before the endpoint runs': (),
    'read `last` before a response is shared': (
        '        held = [marks[key] for key in keys]\n',
        '        held, last = [marks[key] for key in keys], marks[self.beside[0]]\n',
    ),
    'read the marks once more where something was invalidated': (
        'and (added or await store.get(keys) != held)',
        'and added',
    ),
    'never write a token again': (
        'made = {key: token_urlsafe(9) for key, token in',
        "made = {key: self._until.get(key, ('once more',))[0] for key, token in",
    ),
}

# The same for a store that is full at times.
LEFT_OUT_WHERE_FULL = {
    'delete a mark that cannot be written': ('        await store.delete(key)\n', '        pass\n'),
    'delete `last` after the marks': (
        'will look again.\n        await _renew(store, self.beside[0], FOREVER)\n',
        'will look again.\n        await store.set(self.beside[0], token_urlsafe(9), FOREVER)\n',
    ),
    'remember nothing without `last`': (
        'if stale_at is not None and last:',
        'if stale_at is not None:',
        'if last and known_last',
        'if known_last',
    ),
}


RESTORED = (
    'a place that the journal does not have was lost',
    'an epoch that has ended does not come back',
    'know what one has appended',
)
"""Of which only a store that goes back in time makes use."""

SHARED = 'read the head before a response is shared'
"""Of which only a store that is asked in vain makes use."""

ASKED_BEFORE = 'share a response that the store cannot vouch for only with those who asked before its run'
"""Of which only a store that fails makes use."""
LEFT_OUT_WHERE_FULL[ASKED_BEFORE] = ()

# The same for stores that have journals.
LEFT_OUT_WITH_JOURNALS = {
    'append what is invalidated': (
        'tail = await store.append(self._journal, since, texts, note)',
        "tail = await store.append(self._journal, since, ['hnothing'], note)",
    ),
    'compare the head on a look-up': (
        'if known is not None and text == known.text:',
        'if known is not None:',
    ),
    'an entry of another epoch is a miss': (' or position.epoch != seen.head.epoch:', ':'),
    'know only places that were read whole': (
        'texts = [it for it in texts if it[1] < end]',
        'texts = texts[:-1]',
        '    place = texts[-1][1]\n',
        '    place = end\n',
    ),
    'a part of a journal is not all of it': ('str(head) if is_whole else', 'str(head) if True else'),
    'keep the floor of the journal': (
        'known.moments.follow(_invalidated(texts), head.floor, head.place)',
        'known.moments.follow(_invalidated(texts), 0, head.place)',
    ),
    'a soft invalidation has a time': (
        'yield text[1:], place, noted_at.get(place, 0.0)',
        "yield text[1:], place, float('inf')",
    ),
    'a hard invalidation is no soft one': (
        "(_HARD, '') if soft_at is None",
        "(_SOFT, '1.0') if soft_at is None",
    ),
    SHARED: (
        '(text,), known = await store.get(self.beside), self.known\n        if known is None or text != known.text:',
        'known = self.known\n        if known is None:',
    ),
    'an epoch that has ended does not come back': (
        '            if tail.head.epoch in self._left:',
        '            if False:',
    ),
    'know what one has appended': (
        '                self._take_over(since, tail)\n',
        '                pass\n',
    ),
    'read the marks before the endpoint runs': (),
    ASKED_BEFORE: (),
    **dict.fromkeys(LEFT_OUT_OF_JOURNALS, ()),
}

ALL_LEFT_OUT = {**LEFT_OUT, **LEFT_OUT_WHERE_FULL}

# The same for near copies, whatever the ledger is, and for what a ledger tells about a copy.
LEFT_OUT_OF_COPIES = {
    'trust a read for so long only': (copies, ' and time.monotonic() - self.read_at <= self._trust', ''),
    'look at what a trusted read says of a copy': (
        copies,
        'return Found(entry, math.inf) if stale_at == math.inf else LATER',
        'return Found(entry, math.inf)',
    ),
    'trust a read from its begin on': (
        remote_visit,
        'if copies is not None:\n                copies.note_read(began_at, beside)',
        'if copies is not None:\n                copies.note_read(time.monotonic(), beside)',
    ),
    'look at what is read beside a copy': (
        remote_visit,
        'if isinstance(found, Found) and found.stale_at == math.inf:\n            return found',
        'if True:\n            return Found(copy, math.inf)',
    ),
}
OWN = 'trust no read that began before an invalidation by this process'
LEFT_OUT_OF_COPIES_WITH_MARKS = {
    OWN: (copies, 'self.read_at > latest.at and', ''),
    'compare `last` for a copy': (marks, 'if last and beside == [last] and', 'if last and'),
}
LEFT_OUT_OF_COPIES_WITH_JOURNALS = {
    'compare the head for a copy': (
        ledger,
        'if known is None or known.text != beside[0] else',
        'if known is None else',
    ),
}
ALL_LEFT_OUT_OF_COPIES = {
    **LEFT_OUT_OF_COPIES,
    **LEFT_OUT_OF_COPIES_WITH_MARKS,
    **LEFT_OUT_OF_COPIES_WITH_JOURNALS,
}


def ledger_class(kind, step=None):
    """The ledger of a kind of store, with a step left out, or whole."""
    real, name, left_out = (
        (ledger, 'JournalLedger', LEFT_OUT_WITH_JOURNALS) if kind == 'journal' else (marks, 'Marks', ALL_LEFT_OUT)
    )
    changes = left_out.get(step, ()) or _changes_for_copies(real, step)
    return getattr(run_again(code_without(real, changes)), name)


def copies_code(step=None):
    """The code of near copies, with a step left out, or whole; for `run_again`."""
    return code_without(copies, _changes_for_copies(copies, step))


def visit_module(step=None):
    """The module of visits, with a step of near copies left out, or whole."""
    return run_again(code_without(remote_visit, _changes_for_copies(remote_visit, step)))


def _changes_for_copies(real, step):
    where, *changes = ALL_LEFT_OUT_OF_COPIES.get(step, (None,))
    return changes if where is real else ()


def code_without(real, changes):
    """The code of a module in which texts are replaced."""
    source = Path(real.__file__).read_text()
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert source.count(old) == 1, f'{old!r} is there {source.count(old)} times'
        source = source.replace(old, new)
    return compile(source, 'module_under_test', 'exec')


def run_again(code):
    """A new module that runs this code."""
    module = types.ModuleType('module_under_test')
    sys.modules['module_under_test'] = module
    exec(code, module.__dict__)  # noqa: S102, our own source
    return module
