"""Sessions and one-time state, in the store of a cache or in one of their own. The cache knows nothing of them.

Needs the extra `sessions`, or `jwt` for JSON Web Tokens. Each file imports only those below it:

request_session  `request.session`, for code that expects it
states           one-time state
sessions         the sessions of an app
documenting      their schemes in the OpenAPI of an app
dependencies     `SessionDep` and `OptionalSession`
finding          the dependencies behind them, and how they name clients for cache keys
session          the session of one request
keeping          the life of sessions in a store: start reading here
user_lists       the sessions of a user, of which all end in one step
carrying         what a request carries for them, and the layer that sets cookies
places           where records are kept
live             a session as it was found for one request
errors           the errors that endpoints meet
binding          what a session may be bound to
stored           the records
tokens           what a client shows
transport        how a token travels
jwt_keys         the keys of JSON Web Tokens
config           the options
events           what happens to sessions
"""

from fastapi_caching_route.sessions.config import AddressBinding, SessionConfig
from fastapi_caching_route.sessions.dependencies import OptionalSession, SessionDep, UserDep
from fastapi_caching_route.sessions.errors import SessionEndedError, SessionStoreError, StateRefusedError
from fastapi_caching_route.sessions.events import SessionEvent
from fastapi_caching_route.sessions.request_session import RequestSessionMiddleware
from fastapi_caching_route.sessions.session import Session
from fastapi_caching_route.sessions.sessions import Sessions
from fastapi_caching_route.sessions.states import States
from fastapi_caching_route.sessions.stored import Flash, SessionUser

__all__ = [
    'AddressBinding',
    'Flash',
    'OptionalSession',
    'RequestSessionMiddleware',
    'Session',
    'SessionConfig',
    'SessionDep',
    'SessionEndedError',
    'SessionEvent',
    'SessionStoreError',
    'SessionUser',
    'Sessions',
    'StateRefusedError',
    'States',
    'UserDep',
]
