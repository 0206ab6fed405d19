"""Whether a stored response may answer a request (RFC 9111 §4)."""


def age(stored_at: float, now: float) -> float:
    """Seconds since the response was made (RFC 9111 §4.2.3); a clock set back does not make it younger than new."""
    return max(0.0, now - stored_at)


def left(age: float, lifetime: float, stale_at: float, now: float) -> float:
    """Seconds for which the response is still fresh (RFC 9111 §4.2); negative by how long it has been stale.

    `stale_at` is when somebody has made it stale before its time, in seconds since the epoch, or infinity.
    """
    return min(lifetime - age, stale_at - now)


def in_window(left: float, window: float) -> bool:
    """Whether a response that has so many seconds left is stale, and inside of a window for that (RFC 5861)."""
    return -window < left <= 0
