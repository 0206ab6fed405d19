"""Whether the server is about to end. Only uvicorn tells, by the handler of its signals."""

import signal
from typing import Any


def server_ends() -> bool:
    """Whether the server that runs this process was asked to end, and waits for open streams; False if unknown.

    Uvicorn says nothing to a response that it waits for. The handler that it has set for SIGTERM is a method of the
    server, which is only looked at.
    """
    server: Any = getattr(signal.getsignal(signal.SIGTERM), '__self__', None)
    return getattr(server, 'should_exit', False) is True
