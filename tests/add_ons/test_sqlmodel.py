"""SQLModel: a hit opens no session of the database."""

from collections.abc import Iterator
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, HTTPException
from starlette.testclient import TestClient

from tests.add_ons.libraries import library
from tests.support import caching_router, found, memory_cache

sqlmodel, pool = library('sqlmodel', 'sqlmodel', 'sqlalchemy.pool')


class Hero(sqlmodel.SQLModel, table=True):
    id: int | None = sqlmodel.Field(default=None, primary_key=True)
    name: str
    secret: str = ''


class PublicHero(sqlmodel.SQLModel):
    id: int
    name: str


@pytest.fixture
def engine():
    engine = sqlmodel.create_engine('sqlite://', connect_args={'check_same_thread': False}, poolclass=pool.StaticPool)
    sqlmodel.SQLModel.metadata.create_all(engine)
    with sqlmodel.Session(engine) as session:
        session.add(Hero(name='Ada', secret='countess'))
        session.commit()
    yield engine
    engine.dispose()


def test_hits_open_no_session_and_writes_invalidate(engine):
    router, cache, opened = caching_router(), memory_cache(), []

    def get_session() -> Iterator[sqlmodel.Session]:
        opened.append(1)
        with sqlmodel.Session(engine) as session:
            yield session

    of_request = Annotated[sqlmodel.Session, Depends(get_session)]

    @router.get('/heroes/{hero_id}', response_model=PublicHero)
    @cache(ttl=60)
    def read(hero_id: int, session: of_request):
        hero = session.get(Hero, hero_id)
        if hero is None:
            raise HTTPException(404)
        return hero

    @router.patch('/heroes/{hero_id}', response_model=PublicHero)
    def rename(hero_id: int, name: str, session: of_request):
        hero = session.get(Hero, hero_id)
        hero.name = name
        session.add(hero)
        session.commit()
        session.refresh(hero)
        return hero

    app = FastAPI()
    app.include_router(router)
    client = TestClient(app)
    assert found(client, '/heroes/1', '/heroes/1', '/heroes/1') == ['MISS', 'HIT', 'HIT']
    assert client.get('/heroes/1').json() == {'id': 1, 'name': 'Ada'}
    assert len(opened) == 1
    assert client.patch('/heroes/1?name=Grace').json()['name'] == 'Grace'
    assert client.get('/heroes/1').json() == {'id': 1, 'name': 'Grace'}
    assert found(client, '/heroes/1', '/heroes/2', '/heroes/2') == ['HIT', None, None]


async def test_functions_store_models_and_no_rows(engine):
    cache, runs = memory_cache(), []

    @cache.function(ttl=60)
    async def public(hero_id: int) -> PublicHero:
        runs.append('public')
        with sqlmodel.Session(engine) as session:
            return PublicHero.model_validate(session.get(Hero, hero_id), from_attributes=True)

    @cache.function(ttl=60)
    async def row(hero_id: int) -> Hero:
        runs.append('row')
        with sqlmodel.Session(engine) as session:
            return session.get(Hero, hero_id)

    assert [await public(1) for _ in range(2)] == [PublicHero(id=1, name='Ada')] * 2
    rows = [await row(1) for _ in range(2)]
    assert [(it.id, it.name, it.secret) for it in rows] == [(1, 'Ada', 'countess')] * 2
    assert runs == ['public', 'row', 'row']
