"""Endpoints and dependencies with parameters."""

from typing import Annotated

from fastapi import Depends, Header


def page(limit: int = 10):
    return limit


def nested(limit: Annotated[int, Depends(page)], x_plan: Annotated[str | None, Header()] = None):
    return limit, x_plan


async def a_query(q: str = ''):
    return q
