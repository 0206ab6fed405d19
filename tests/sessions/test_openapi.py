"""OpenAPI: routes that take a session say where a client shows its token."""

from copy import deepcopy
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI
from fastapi.security import APIKeyHeader
from starlette.applications import Starlette

from fastapi_caching_route import CachingRoute, FastAPICache, MemoryCache
from fastapi_caching_route.sessions import OptionalSession, Session, SessionDep, Sessions, States, UserDep
from tests.sessions.conftest import config

COOKIE = {'type': 'apiKey', 'in': 'cookie', 'name': '__Host-session'}


def app_with(sessions, *, installed=True):
    app, cache = FastAPI(), FastAPICache()
    router = APIRouter(route_class=CachingRoute)

    @router.get('/required')
    @cache(ttl=60)
    async def required(session: SessionDep) -> str:
        return ''

    @router.get('/optional')
    async def optional(session: OptionalSession) -> str:
        return ''

    @router.get('/both/{number}')
    async def both(number: int, session: OptionalSession, user: UserDep) -> str:
        return ''

    @router.put('/roles', dependencies=[Depends(sessions.role('admin'))])
    async def roles() -> str:
        return ''

    @router.get('/scheme')
    async def scheme(session: OptionalSession, key: Annotated[str, Depends(APIKeyHeader(name='x-key'))]) -> str:
        return ''

    @router.get('/open', openapi_extra={'security': []})
    async def open_(session: OptionalSession) -> str:
        return ''

    @router.get('/hidden', include_in_schema=False)
    async def hidden(session: SessionDep) -> str:
        return ''

    @router.get('/none')
    async def none() -> str:
        return ''

    app.include_router(router, prefix='/v1')
    if installed:
        sessions.install(app)
    return app


def security_of(document):
    return {
        path.removeprefix('/v1/'): operation.get('security')
        for path, operations in document['paths'].items()
        for operation in operations.values()
    }


def test_a_route_that_takes_a_session_has_a_scheme_for_each_transport():
    sessions = Sessions(store=MemoryCache(), config=config(transports=['cookie', 'header', 'bearer'], token='jwt'))
    document = app_with(sessions).openapi()
    schemes = document['components']['securitySchemes']
    assert {name: it for name, it in schemes.items() if name.startswith('Session')} == {
        'SessionCookie': COOKIE,
        'SessionHeader': {'type': 'apiKey', 'in': 'header', 'name': 'X-Session-Token'},
        'SessionBearer': {'type': 'http', 'scheme': 'bearer', 'bearerFormat': 'JWT'},
    }
    ours = [{'SessionCookie': []}, {'SessionHeader': []}, {'SessionBearer': []}]
    assert security_of(document) == {
        'required': ours,
        'optional': [*ours, {}],
        'both/{number}': ours,
        'roles': ours,
        'scheme': [{'APIKeyHeader': []}, *ours],
        'open': [],
        'none': None,
    }


def test_nothing_else_of_openapi_changes():
    sessions = Sessions(store=MemoryCache(), config=config())
    app, plain = app_with(sessions), app_with(sessions, installed=False).openapi()
    document = app.openapi()
    assert security_of(document)['required'] == [{'SessionCookie': []}]
    assert app.openapi() == document
    left = deepcopy(document)
    del left['components']['securitySchemes']['SessionCookie']
    for document_of in (left, plain):
        for operations in document_of['paths'].values():
            for operation in operations.values():
                operation.pop('security', None)
    assert left == plain


def test_two_kinds_of_sessions_have_schemes_of_their_own():
    first, second = (Sessions(store=MemoryCache(), config=config(cookie=it)) for it in ('session', 'admin'))
    app = FastAPI()

    @app.get('/both')
    async def both(session: SessionDep, admin: Annotated[Session, Depends(second.required)]) -> str:
        return ''

    for it in (first, second):
        it.install(app)
    document = app.openapi()
    assert document['components']['securitySchemes'] == {
        'SessionCookie': COOKIE,
        'SessionCookie2': {**COOKIE, 'name': '__Host-admin'},
    }
    assert document['paths']['/both']['get']['security'] == [{'SessionCookie': []}, {'SessionCookie2': []}]


def test_an_app_without_sessions_or_without_openapi_is_as_it_was():
    app, states = FastAPI(), States(store=MemoryCache())
    states.install(app)
    assert app.openapi() == FastAPI().openapi()
    Sessions(store=MemoryCache(), config=config()).install(Starlette())
