"""On which terms the responses of a route are kept."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a route's responses are kept. Spans in seconds, None where nobody said."""

    accepted: frozenset[int]
    ttl: float | None
    fallback_ttl: float | None
    max_body_size: int
    """Bytes."""
    stale_while_revalidate: float = 0.0
    stale_if_error: float = 0.0
    chosen_ttl: float | None = None
    """What the endpoint itself has chosen for this one answer; it counts alone."""
    windows_chosen: bool = False
    """Whether it has chosen a stale window, too."""
    authorization_covered: bool = False
    """Whether Authorization is accounted for: by the key, a security scheme, or somebody who has said who shares."""
    by_the_book: bool = False
    """Whether the fields of the response decide, as in a textbook cache (`mode='rfc9111'`), and not the route."""
    stale_if_accepted: bool = False
    """Whether clients may ask for what is stale (RFC 9111 §5.2.1.2)."""
    revalidate: bool = False
    """Whether the endpoint is asked with a condition where a response is stale (RFC 9111 §4.3)."""
    status_ttl: tuple[tuple[int, float], ...] = ()
    """In place of `ttl`, for answers of these statuses; in pairs, since terms are hashed."""

    def for_one(
        self, ttl: float | None, while_revalidate: float | None, if_error: float | None, *, covered: bool
    ) -> 'Terms':
        """The terms for one response, of which its endpoint has said some; `covered` is about its Authorization."""
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
        """Whether responses may be of use when they are stale."""
        return self.stale_allowed or self.revalidate

    @property
    def stale_allowed(self) -> bool:
        """Whether somebody wants responses that are stale."""
        return self.stale_while_revalidate > 0 or self.stale_if_error > 0 or self.stale_if_accepted

    def ttl_of(self, status: int) -> float | None:
        """The lifetime that the route gives to answers of a status."""
        return dict(self.status_ttl).get(status, self.ttl)

    def is_off(self, status: int) -> bool:
        """Whether a ttl of 0 says that no answer of this status is to be stored."""
        if self.chosen_ttl is not None:
            return self.chosen_ttl == 0
        return self.ttl_of(status) == 0 and not self.by_the_book

    def is_short_lived(self, status: int) -> bool:
        """Whether it is an error that was given a time of its own: who says 5 seconds of a 404 wants it no longer."""
        return status >= 400 and status in dict(self.status_ttl) and not (self.by_the_book or self.windows_chosen)
