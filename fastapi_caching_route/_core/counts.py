"""The counters of a route in this process. Pure: does not know how they are shown.

The numbers are counted in place, without a lock: threads may lose a count now and then, and a hit stays cheap.
"""


class Counts:
    """The numbers of one route. Each response is counted once, by its outcome."""

    __slots__ = (
        *('hit', 'stale', 'collapsed', 'miss', 'revalidated', 'bypass', 'refused', 'error'),
        *('bytes', 'endpoint', 'endpoint_seconds', 'reasons', 'route', 'runs', 'seconds_saved', 'stored'),
    )

    def __init__(self, route: str, endpoint: str) -> None:
        """Nothing has been counted."""
        self.route = route
        """The path template."""
        self.endpoint = endpoint
        """Its module and name."""
        self.hit = self.stale = self.collapsed = self.miss = 0
        self.revalidated = self.bypass = self.refused = self.error = 0
        self.stored = 0
        """Responses that were stored."""
        self.bytes = 0
        """The bytes of bodies that were sent without running the endpoint."""
        self.seconds_saved: float = 0.0
        """How long the endpoint took for the entries that were sent without running it, each as often as it was
        sent."""
        self.runs = 0
        """Runs of the endpoint, with those that renew an entry."""
        self.endpoint_seconds: float = 0.0
        """The seconds of these runs."""
        self.reasons: dict[tuple[str, str], int] = {}
        """How often each outcome had each reason."""
