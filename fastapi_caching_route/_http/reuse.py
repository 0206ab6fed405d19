"""Whether a stored response may answer a request (RFC 9111 §4)."""


def age(stored_at: float, now: float) -> float:
    """Seconds since the response was made (RFC 9111 §4.2.3); a clock set back does not make it younger than new."""
    return max(0.0, now - stored_at)


def left(age: float, lifetime: float, stale_at: float, now: float) -> float:
    """Seconds for which the response is still fresh (RFC 9111 §4.2); 0 or less if it is stale, for so many seconds.

    `stale_at` is when somebody has made it stale before its time, in seconds since the epoch, or infinity.
    """
    return min(lifetime - age, stale_at - now)
