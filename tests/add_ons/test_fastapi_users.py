"""fastapi-users: its `current_user` is a guard, which runs on hits."""

import uuid
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from starlette.testclient import TestClient

from tests.add_ons.libraries import library
from tests.support import caching_router, found, memory_cache

users, authentication, db, schemas = library(
    'fastapi-users', 'fastapi_users', 'fastapi_users.authentication', 'fastapi_users.db', 'fastapi_users.schemas'
)
SECRET = 'a secret of the tests with 32 bytes or more'


class User:
    """A row of the table of users."""

    def __init__(self, **values: Any) -> None:
        self.id = uuid.uuid4()
        self.is_active, self.is_superuser, self.is_verified = True, False, False
        self.__dict__.update(values)


class Rows(db.BaseUserDatabase):
    """A table in memory that counts how often it is asked for a user."""

    def __init__(self):
        self.rows, self.asked = {}, 0

    async def get(self, user_id):
        self.asked += 1
        return self.rows.get(user_id)

    async def get_by_email(self, email):
        return next((it for it in self.rows.values() if it.email == email), None)

    async def create(self, create_dict):
        user = User(**create_dict)
        self.rows[user.id] = user
        return user

    async def update(self, user, update_dict):
        user.__dict__.update(update_dict)
        return user


class Unhashed:
    """Passwords as they are: hashing them takes a second of each test."""

    def hash(self, password):
        return password

    def verify_and_update(self, plain, hashed):
        return plain == hashed, None


class Manager(users.UUIDIDMixin, users.BaseUserManager):
    reset_password_token_secret = verification_token_secret = SECRET


BEARER = authentication.BearerTransport(tokenUrl='login')
COOKIE = authentication.CookieTransport()


class Service:
    """An app with login and registration, and a router for the pages of a test."""

    def __init__(self, transport):
        self.rows, self.router, self.cache = Rows(), caching_router(), memory_cache()
        self._backend = authentication.AuthenticationBackend(
            name='tests',
            transport=transport,
            get_strategy=lambda: authentication.JWTStrategy(secret=SECRET, lifetime_seconds=3600),
        )
        self._users = users.FastAPIUsers(lambda: Manager(self.rows, Unhashed()), [self._backend])
        self.current_user = self._users.current_user

    def app(self):
        app = FastAPI()
        app.include_router(self._users.get_auth_router(self._backend))
        app.include_router(self._users.get_register_router(schemas.BaseUser[uuid.UUID], schemas.BaseUserCreate))
        app.include_router(self.router)
        return app

    def client(self, app, name):
        """A client that has logged in as a new user."""
        client, email = TestClient(app, base_url='https://testserver'), f'{name}@example.com'
        assert client.post('/register', json={'email': email, 'password': SECRET}).status_code == 201
        reply = client.post('/login', data={'username': email, 'password': SECRET})
        if reply.content:
            client.headers['authorization'] = f'Bearer {reply.json()["access_token"]}'
        return client

    def deactivate(self, name):
        (user,) = [it for it in self.rows.rows.values() if it.email == f'{name}@example.com']
        user.is_active = False


@pytest.mark.parametrize('transport', [BEARER, COOKIE], ids=['bearer', 'cookie'])
def test_each_user_has_an_entry_and_is_checked_on_hits(transport):
    service = Service(transport)

    @service.router.get('/me')
    @service.cache(ttl=60)
    async def me(user: Annotated[User, Depends(service.current_user(active=True))]) -> str:
        return user.email

    app = service.app()
    ada, grace = service.client(app, 'ada'), service.client(app, 'grace')
    assert found(ada, '/me', '/me') + found(grace, '/me', '/me') == ['MISS', 'HIT'] * 2
    assert [it.get('/me').json() for it in (ada, grace)] == ['ada@example.com', 'grace@example.com']
    asked = service.rows.asked
    assert found(ada, '/me') == ['HIT']
    assert service.rows.asked == asked + 1
    service.deactivate('ada')
    assert [it.get('/me').status_code for it in (ada, grace, TestClient(app))] == [401, 200, 401]


@pytest.mark.parametrize('transport', [BEARER, COOKIE], ids=['bearer', 'cookie'])
def test_all_users_can_share_a_page_that_only_they_may_see(transport):
    service = Service(transport)

    @service.router.get('/news', dependencies=[Depends(service.current_user(active=True))])
    @service.cache(ttl=60, identity='shared')
    async def news() -> str:
        return 'for users'

    app = service.app()
    ada, grace = service.client(app, 'ada'), service.client(app, 'grace')
    assert found(ada, '/news') + found(grace, '/news') == ['MISS', 'HIT']
    assert TestClient(app).get('/news').status_code == 401


def test_a_page_can_be_shared_by_the_users_of_one_rank():
    service = Service(BEARER)
    current = service.current_user()

    def rank(user: Annotated[User, Depends(current)]) -> str:
        return 'superuser' if user.is_superuser else 'user'

    @service.router.get('/menu')
    @service.cache(ttl=60, identity=Depends(rank))
    async def menu(rank: Annotated[str, Depends(rank)]) -> str:
        return rank

    app = service.app()
    ada, grace, root = (service.client(app, it) for it in ('ada', 'grace', 'root'))
    service.rows.rows[list(service.rows.rows)[-1]].is_superuser = True
    assert found(ada, '/menu') + found(grace, '/menu') + found(root, '/menu') == ['MISS', 'HIT', 'MISS']
    assert [it.get('/menu').json() for it in (ada, root)] == ['user', 'superuser']
