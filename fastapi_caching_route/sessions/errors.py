"""The errors that endpoints can raise. They are `HTTPException`s, so you do not have to handle them."""

from fastapi import HTTPException


class SessionStoreError(HTTPException):
    """The store of sessions and states has failed: 503. The client is neither accepted nor treated as anonymous."""

    def __init__(self) -> None:
        """The reason is logged."""
        super().__init__(503, 'Sessions cannot be read or written at the moment', {'Retry-After': '1'})


class SessionEndedError(HTTPException):
    """The session ended while this request used it: 401."""

    def __init__(self, challenge: str = 'Session') -> None:
        """`challenge` is the `WWW-Authenticate` of the response."""
        super().__init__(401, 'The session has ended', {'WWW-Authenticate': challenge})


class StateRefusedError(HTTPException):
    """A state is unknown, used, expired, or of another browser: 400. Only the log says which."""

    def __init__(self) -> None:
        """The response is the same for all reasons."""
        super().__init__(400, 'The state is not valid')
