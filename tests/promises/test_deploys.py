"""Deploys: what is stored under the code of before is not served by code that makes other bodies."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, TypeVar

import pytest
from aiocache import SimpleMemoryCache
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, create_model
from typing_extensions import TypedDict

from fastapi_caching_route import CachingRoute, FastAPICache
from fastapi_caching_route._fastapi.effective import declaration
from fastapi_caching_route._fastapi.schemas import outline
from tests.servers import ROOT
from tests.support import marks

T = TypeVar('T')


class Inner(BaseModel):
    number: int = 0


class Page(BaseModel, Generic[T]):
    items: list[T]


class Tree(BaseModel):
    children: 'list[Tree]' = []


@dataclass
class Point:
    x: int
    labels: set[str] = field(default_factory=set)


class Typed(TypedDict):
    x: int


class Odd:
    """A type of which pydantic knows nothing."""


class WithOdd(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    odd: Odd
    sets: dict[str, set[str]] = {'inside': {'a', 'b', 'c', 'd'}}
    frozen: frozenset[Any] | None = frozenset({'x', 'y', 'z'})


class Raising(BaseModel):
    @classmethod
    def __get_pydantic_json_schema__(cls, schema, handler):
        raise RuntimeError


SHAPES = [
    *(
        Inner,
        list[Inner],
        Page[Inner],
        Tree,
        Point,
        Typed,
        Inner | Point | None,
        dict[str, Inner],
        WithOdd,
        list[WithOdd],
    ),
    *(Raising, Annotated[int, PlainSerializer(str)], Odd, int, None, 'no type'),
]


def app_of(backend, model):
    """The app as one deploy has it."""
    app = FastAPI()
    app.router.route_class = CachingRoute
    runs = []

    async def endpoint():
        runs.append(1)
        return {'name': 'n', 'inner': {'number': 1, 'secret': 's'}}

    endpoint.__qualname__, endpoint.__module__ = 'endpoint', 'app'
    app.get('/', response_model=model)(FastAPICache(backend)(ttl=60)(endpoint))
    return TestClient(app), runs


def model_of(**fields):
    return create_model('Model', __module__='app', **fields)


INNER = model_of(number=(int, ...))
BEFORE_AND_AFTER = [
    (model_of(name=(str, ...)), model_of(title=(str, 'new'), name=(str, ...))),
    (model_of(name=(str, ...)), model_of(name=(str, Field(serialization_alias='title')))),
    (model_of(name=(str, ...)), model_of(name=(Annotated[str, Field(max_length=9)], ...))),
    (model_of(inner=(INNER, ...)), model_of(inner=(model_of(number=(int, ...), secret=(str, 'no')), ...))),
]


@pytest.mark.parametrize(('before', 'after'), BEFORE_AND_AFTER)
def test_a_deploy_that_changes_a_model_of_the_same_name_answers_with_no_body_of_before(before, after):
    backend = SimpleMemoryCache()
    (old, _), (same, same_runs), (new, new_runs) = (app_of(backend, it) for it in (before, before, after))
    assert marks(old.get('/'), same.get('/'), new.get('/'), new.get('/')) == ['MISS', 'HIT', 'MISS', 'HIT']
    assert (len(same_runs), len(new_runs)) == (0, 1)


@pytest.mark.parametrize('model', SHAPES, ids=str)
def test_a_model_of_any_shape_has_an_outline_or_at_least_a_name(model):
    told = outline(model, by_alias=True)
    assert told == outline(model, by_alias=True)
    assert told or model is None
    assert ' at 0x' not in str(told)


def test_what_has_no_schema_does_not_hide_the_rest_of_its_model():
    def holding(kind):
        return create_model('Model', __config__=ConfigDict(arbitrary_types_allowed=True), odd=(Odd, ...), x=(kind, ...))

    assert outline(holding(int), by_alias=True) != outline(holding(str), by_alias=True)


def test_every_process_outlines_a_model_in_the_same_way():
    program = 'from tests.promises.test_deploys import *\nprint([outline(it, by_alias=True) for it in SHAPES])'
    told = {
        subprocess.run(  # noqa: S603, our own program
            [sys.executable, '-c', program],
            env={**os.environ, 'PYTHONHASHSEED': seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ('1', '2', '3')
    }
    assert len(told) == 1


def test_the_name_of_the_response_model_counts_beside_its_outline():
    def declared(model):
        return declaration(CachingRoute('/', plain, response_model=model))

    assert declared(int) == declared(int)
    assert declared(int) != declared(None)
    assert declared(int) != declared(str)


async def plain():
    return 1
