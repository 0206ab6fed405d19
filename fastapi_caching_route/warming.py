"""Warm-up: the report of `cache.warm(...)`. Knows neither requests nor apps."""

from dataclasses import dataclass
from typing import Literal

WarmOutcome = Literal['stored', 'there', 'not stored', 'failed']
"""`stored`: the response is stored now. `there`: it came from an entry. `not stored`: there was a response,
which is not stored. `failed`: a 5xx, an exception, or no response in time."""


@dataclass(frozen=True, slots=True)
class Warmed:
    """The result for one URL."""

    url: str
    outcome: WarmOutcome
    status: int | None
    """None if there was no response."""
    reason: str | None
    """Why it is not stored, in the words of `Cache-Status`; or the exception."""
    seconds: float


@dataclass(frozen=True, slots=True)
class WarmReport:
    """The results for all URLs, in their order."""

    results: tuple[Warmed, ...]

    def of(self, outcome: WarmOutcome) -> tuple[Warmed, ...]:
        """Those with this outcome."""
        return tuple(it for it in self.results if it.outcome == outcome)

    @property
    def is_warm(self) -> bool:
        """Whether there is an entry for each of them now."""
        return all(it.outcome in {'stored', 'there'} for it in self.results)

    def __str__(self) -> str:
        """Return a line of numbers, and one for each URL that is not stored."""
        counts = ', '.join(f'{len(self.of(it))} {it}' for it in ('stored', 'there', 'not stored', 'failed'))
        cold = [it for it in self.results if it.outcome in {'not stored', 'failed'}]
        return '\n'.join((counts, *(f'{it.outcome}: {it.url} ({it.status or "-"}, {it.reason or "?"})' for it in cold)))
