"""Whether a stored response may answer a request (RFC 9111 §4)."""


def age(stored_at: float, now: float) -> float:
    """Seconds since the response was made (RFC 9111 §4.2.3); a clock set back does not make it younger than new."""
    return max(0.0, now - stored_at)


def fresh(age: float, lifetime: float) -> bool:
    """Whether the lifetime exceeds the age (RFC 9111 §4.2)."""
    return lifetime > age
