"""The errors that endpoints meet. They are exceptions of FastAPI, so that nobody has to handle them."""

from fastapi import HTTPException


class SessionStoreError(HTTPException):
    """The store of sessions and states does not answer: 503. A client is neither let in nor taken for anonymous."""

    def __init__(self) -> None:
        """The log has the reason."""
        super().__init__(503, 'Sessions cannot be read or written now', {'Retry-After': '1'})


class SessionEndedError(HTTPException):
    """The session has ended, while this request used it: 401."""

    def __init__(self, challenge: str = 'Session') -> None:
        """With a challenge, as each 401 has one."""
        super().__init__(401, 'The session has ended', {'WWW-Authenticate': challenge})


class StateRefusedError(HTTPException):
    """A state is unknown, used, expired, or of another browser: 400. Only the log tells which."""

    def __init__(self) -> None:
        """The same for all reasons."""
        super().__init__(400, 'The state is not valid')
