"""An origin behind the reverse proxy of the examples: what it answers, and how that is read."""

from dataclasses import dataclass, field
from email.utils import formatdate
from time import time


@dataclass
class Origin:
    """What the origin answers next, and what it was asked."""

    port: int = 0
    status: int = 200
    fields: list = field(default_factory=list)
    body: bytes = b'0123456789'
    asked: list = field(default_factory=list)
    down: bool = False

    def answers(self, *fields, status=200, body=b'0123456789'):
        self.status, self.fields, self.body = status, list(fields), body


FRESH, STALE = ('Cache-Control', 'max-age=600'), ('Cache-Control', 'max-age=0')
TAG = ('ETag', '"a"')


def date(seconds=0):
    return formatdate(time() + seconds, usegmt=True)


def status_of(response):
    return response.headers['cache-status'].removeprefix('FastAPICache; ')
