"""An app with routes of many kinds for `test_key_values`. Names and modules of its endpoints are in cache keys."""

from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import Annotated, Literal

from aiocache import SimpleMemoryCache
from fastapi import Cookie, Depends, FastAPI, Form, Header, Query, Request, Security, UploadFile
from fastapi.responses import PlainTextResponse
from fastapi.security import APIKeyCookie, APIKeyHeader, APIKeyQuery, HTTPBearer, OAuth2PasswordBearer
from pydantic import BaseModel, ConfigDict

from fastapi_caching_route import CacheContext, FastAPICache
from tests.support import caching_router

bearer = HTTPBearer()


class Sort(Enum):
    UP = 'up'
    DOWN = 'down'


class Order(BaseModel):
    number: int
    note: str = ''


class Outer(BaseModel):
    order: Order | None = None
    kinds: set[str] = {'a', 'b'}


class Filters(BaseModel):
    color: str = 'red'
    size: int = 1


class Anything(BaseModel):
    model_config = ConfigDict(extra='allow')


def page(limit: int = 10):
    return limit


def prefixed(text: str, q: str = ''):
    return text + q


class Limit:
    def __init__(self, most: str):
        self.most = most

    def __call__(self, limit: int = 10):
        return limit, self.most


async def connection(q: str = ''):
    yield q


async def login(token: Annotated[str, Depends(OAuth2PasswordBearer('token', scopes={'items': 'read'}))]):
    return token


def tenant(x_tenant: Annotated[str, Header()]):
    return x_tenant


async def plain():
    return 'plain'


async def typed(number: int, sort: Literal['up', 'down'] = 'up'):
    return number, sort


async def named(name: str):
    return name


async def with_defaults(q: str = '', limit: int = 10, price: Decimal = Decimal(1)):
    return q, limit, price


async def optional(q: str | None = None, numbers: Annotated[list[int] | None, Query(max_length=3)] = None):
    return q, numbers


async def aliased(q: Annotated[str, Query(alias='search', min_length=1)] = 'all', at: datetime | None = None):
    return q, at


async def repeated(tag: Annotated[list[str], Query()] = []):  # noqa: B006, as users write it
    return tag


async def sorted_by(sort: Sort = Sort.UP):
    return sort


async def filtered(filters: Annotated[Filters, Query()]):
    return filters


async def anything(given: Annotated[Anything, Query()]):
    return given.model_extra


async def a_header(x_plan: Annotated[str, Header()] = 'free', accept: Annotated[str, Header()] = '*/*'):
    return x_plan, accept


async def a_cookie(theme: Annotated[str, Cookie()] = 'light'):
    return theme


async def nested(limit: Annotated[int, Depends(page)], text: Annotated[str, Depends(partial(prefixed, 'a'))]):
    return limit, text


async def by_objects(limit: Annotated[object, Depends(Limit('100'))], q: Annotated[str, Depends(connection)]):
    return limit, q


async def uploaded(file: UploadFile):
    return file.filename


async def order(order: Order):
    return order


async def a_form(name: Annotated[str, Form()], age: Annotated[int, Form()] = 0):
    return name, age


async def by_token(credentials: Annotated[object, Depends(bearer)]):
    return credentials


async def by_user(user: Annotated[str, Security(login, scopes=['items'])]):
    return user


async def by_key_in_header(key: Annotated[str, Depends(APIKeyHeader(name='X-Key'))]):
    return key


async def by_key_in_query(key: Annotated[str, Depends(APIKeyQuery(name='key'))]):
    return key


async def by_key_in_cookie(key: Annotated[str, Depends(APIKeyCookie(name='key'))]):
    return key


async def whole_request(request: Request):
    return request.url.path


async def all_of_request(request: Request):
    return request.url.path


async def with_context(context: Annotated[CacheContext, Depends()]):
    return context.key


async def text():
    return PlainTextResponse('text')


async def models() -> list[Outer]:
    return []


async def a_model() -> Order:
    return Order(number=1)


def x_user(request: Request):
    return request.headers.get('x-user', '')


backend = SimpleMemoryCache()
cache = FastAPICache(backend)
router = caching_router()
cache(ttl=60)(router.api_route('/plain', methods=['GET', 'HEAD'])(plain))
cache(ttl=60)(router.get('/items/{number}')(typed))
cache(ttl=60)(router.get('/names/{name:path}')(named))
cache(ttl=60)(router.get('/defaults')(with_defaults))
cache(ttl=60)(router.get('/optional')(optional))
cache(ttl=60)(router.get('/aliased')(aliased))
cache(ttl=60)(router.get('/objects')(by_objects))
cache(ttl=60)(router.post('/file')(uploaded))
cache(ttl=60)(router.get('/user')(by_user))
cache(ttl=60)(router.get('/models')(models))
cache(ttl=60)(router.get('/repeated')(repeated))
cache(ttl=60)(router.get('/sorted')(sorted_by))
cache(ttl=60)(router.get('/filtered')(filtered))
cache(ttl=60)(router.get('/anything')(anything))
cache(ttl=60)(router.get('/header')(a_header))
cache(ttl=60)(router.get('/cookie')(a_cookie))
cache(ttl=60)(router.get('/nested')(nested))
cache(ttl=60)(router.post('/order')(order))
cache(ttl=60)(router.post('/form')(a_form))
cache(ttl=60)(router.get('/token')(by_token))
cache(ttl=60)(router.get('/key-in-header')(by_key_in_header))
cache(ttl=60)(router.get('/key-in-query')(by_key_in_query))
cache(ttl=60)(router.get('/key-in-cookie')(by_key_in_cookie))
cache(ttl=60)(router.get('/request')(whole_request))
cache(ttl=60, reads='all')(router.get('/whole-request')(all_of_request))
cache(ttl=60)(router.get('/context')(with_context))
cache(ttl=60)(router.get('/text', response_class=PlainTextResponse, status_code=203)(text))
cache(ttl=60)(router.get('/model')(a_model))


@router.get('/shared', dependencies=[Depends(bearer)])
@cache(ttl=60, identity='shared')
async def shared():
    return 'shared'


@router.get('/identity')
@cache(ttl=60, identity=x_user)
async def identified(user: Annotated[str, Depends(x_user)]):
    return user


@router.get('/language')
@cache(ttl=60, vary_headers=['Accept-Language'])
async def in_language():
    return 'language'


@router.get('/guarded')
@cache(ttl=60, dependencies=[Depends(tenant)])
async def guarded():
    return 'guarded'


@router.get('/namespace')
@cache(ttl=60, namespace='shop:eu')
async def in_namespace():
    return 'namespace'


@router.get('/tags/{number}')
@cache(ttl=60, tags=['item:{number}'])
async def tagged(number: int):
    return number


@router.get('/built')
@cache(ttl=60, key_builder=lambda request: request.query_params['as'])
async def built():
    return 'built'


@router.get('/built-in-namespace')
@cache(ttl=60, namespace='shop', key_builder=lambda request: request.query_params['as'])
async def built_in_namespace():
    return 'built'


@router.post('/written')
@cache(ttl=60)
@cache.invalidates(tags=['a'])
async def written():
    return 'written'


@router.get('/version')
@FastAPICache(backend, version='2')(ttl=60)
async def of_a_version():
    return 'version'


inside = FastAPI()
inside_router = caching_router()


@inside_router.get('/inside')
@cache(ttl=60)
async def mounted():
    return 'mounted'


inside.include_router(inside_router)
app = FastAPI()
app.include_router(router)
app.include_router(router, prefix='/v2/{region}')
app.mount('/sub', inside)
