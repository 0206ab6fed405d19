"""The terms on which the responses of a route are stored."""

from msgspec import Struct
from msgspec.structs import replace


class Terms(Struct, frozen=True):
    """The terms on which the responses of a route are stored. Spans in seconds; None if not given."""

    accepted: frozenset[int]
    ttl: float | None
    fallback_ttl: float | None
    max_body_size: int
    """Bytes."""
    stale_while_revalidate: float = 0.0
    stale_if_error: float = 0.0
    chosen_ttl: float | None = None
    """The lifetime that the endpoint chose for this response; no other one counts then."""
    windows_chosen: bool = False
    """Whether the endpoint chose a stale window too."""
    authorization_covered: bool = False
    """Whether Authorization is accounted for: by the key, by a security scheme, or by `identity`."""
    by_the_book: bool = False
    """Whether the headers of the response decide (`mode='rfc9111'`), and not the options of the route."""
    stale_if_accepted: bool = False
    """Whether clients may accept stale responses by `max-stale` (RFC 9111 §5.2.1.2)."""
    revalidate: bool = False
    """Whether a stale response is validated by a conditional request to the endpoint (RFC 9111 §4.3)."""
    status_ttl: tuple[tuple[int, float], ...] = ()
    """Lifetimes by status, in place of `ttl`. Pairs, because terms must be hashable."""

    def for_one(
        self, ttl: float | None, while_revalidate: float | None, if_error: float | None, *, covered: bool
    ) -> 'Terms':
        """The terms for one response, some of which its endpoint chose; `covered` is about its Authorization."""
        if covered == self.authorization_covered and ttl is while_revalidate is if_error is None:
            return self
        return replace(
            self,
            chosen_ttl=ttl,
            stale_while_revalidate=self.stale_while_revalidate if while_revalidate is None else while_revalidate,
            stale_if_error=self.stale_if_error if if_error is None else if_error,
            windows_chosen=while_revalidate is not None or if_error is not None,
            authorization_covered=covered,
        )

    @property
    def windowed(self) -> bool:
        """Whether stale responses may be used."""
        return self.stale_allowed or self.revalidate

    @property
    def stale_allowed(self) -> bool:
        """Whether stale responses may be sent."""
        return self.stale_while_revalidate > 0 or self.stale_if_error > 0 or self.stale_if_accepted

    def ttl_of(self, status: int) -> float | None:
        """The lifetime that the route gives to responses with this status."""
        return dict(self.status_ttl).get(status, self.ttl)

    def is_off(self, status: int) -> bool:
        """Whether responses with this status are not stored, because their ttl is 0."""
        if self.chosen_ttl is not None:
            return self.chosen_ttl == 0
        return self.ttl_of(status) == 0 and not self.by_the_book

    def is_short_lived(self, status: int) -> bool:
        """Whether it is an error with a lifetime of its own, which no stale window may extend."""
        return status >= 400 and status in dict(self.status_ttl) and not (self.by_the_book or self.windows_chosen)
