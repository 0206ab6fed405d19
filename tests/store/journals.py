"""A journal in a dict: what `_backends/journal.py` says, in the simplest way. Real ones are compared with it."""

from fastapi_caching_route._backends import journal as rules
from fastapi_caching_route._backends.journal import TOKEN, JournalHead, Tail, head_of, new_token

LEFT_OUT = {
    'a journal without its texts is not whole': 'whole',
    'a place that the journal does not have was lost': 'ahead',
    'the floor': 'floor',
}
"""Rules that the model can be asked to forget, by which word."""


class ModelJournals:
    """Atomic commands on the journals in a dict, which anybody may take away."""

    def __init__(self, kept, without=''):
        self.kept, self.without = kept, without

    def _read(self, journal):
        head, texts = head_of(self.kept.get(journal)), self.kept.get(f'{journal}:texts', {})
        if head is None or (texts.get(TOKEN + head.token) != head.place and self.without != 'whole'):
            return self._begin(), None
        return (head, dict(texts)), head

    def _begin(self):
        token = new_token()
        return JournalHead(token, 0, token, 0), {TOKEN + token: 0}

    def journal(self, key, known, texts, note):
        (head, kept), whole = self._read(key)
        behind = -1
        if whole is not None and known is not None and known.epoch == head.epoch:
            is_ahead = known.place > head.place and self.without != 'ahead'
            oldest = max(head.floor, head.place - rules.MAX_TOKENS + 1)
            differs = head.place >= known.place >= oldest and kept.get(TOKEN + known.token) != known.place
            if is_ahead or differs:
                head, kept = self._begin()
            else:
                behind = known.place
        if texts:
            head, kept = self._appended(head, kept, texts, note)
        self.kept[key], self.kept[f'{key}:texts'] = str(head), kept
        if texts and known is None:
            return Tail(head, [])
        found = sorted((at, text) for text, at in kept.items() if at > behind)
        return Tail(head, [(text, at) for at, text in found[: rules.MAX_READ]])

    def _appended(self, head, kept, texts, note):
        place, token, floor = head.place + 1, new_token(note), head.floor
        kept.update(dict.fromkeys([TOKEN + token, *texts], place))
        kept = {it: at for it, at in kept.items() if it[0] != TOKEN or at > place - rules.MAX_TOKENS}
        places = sorted(at for it, at in kept.items() if it[0] != TOKEN)
        excess = len(places) - rules.MAX_TEXTS
        if excess > 0:
            cut = places[excess - 1]
            kept = {text: at for text, at in kept.items() if at > cut}
            floor = 0 if self.without == 'floor' else cut
        return JournalHead(head.epoch, place, token, floor), kept
