"""Backends that fail, hang and take long when a test says so."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiocache.base import BaseCache
from aiocache.serializers import NullSerializer


class Elsewhere(BaseCache):
    """A backend as if outside of the process; the commands that are named fail, hang or take long."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{'serializer': NullSerializer(), **options})
        self.kept: dict[str, Any] = {}
        self.failing: set[str] = set()
        self.hanging: set[str] = set()
        self.commands: list[str] = []
        self.ended: list[str] = []
        self.slow: dict[str, float] = {}

    async def _command(self, name: str, effect: Callable[[], Any]) -> Any:
        self.commands.append(name)
        if name in self.failing:
            raise ConnectionError(name)
        if name in self.hanging:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(self.slow.get(name, 0))
        self.ended.append(name)
        return effect()

    async def _get(self, key: str, encoding: Any = None, _conn: Any = None) -> Any:
        return await self._command('get', lambda: self.kept.get(key))

    async def _multi_get(self, keys: list[str], encoding: Any = None, _conn: Any = None) -> Any:
        return await self._command('multi_get', lambda: [self.kept.get(key) for key in keys])

    async def _set(self, key: str, value: Any, ttl: Any = None, _cas_token: Any = None, _conn: Any = None) -> Any:
        return await self._command('set', lambda: self.kept.update({key: value}) or True)

    async def _add(self, key: str, value: Any, ttl: Any = None, _conn: Any = None) -> Any:
        if await self._command('add', lambda: self.kept.setdefault(key, value)) is not value:
            raise ValueError(key)

    async def _delete(self, key: str, _conn: Any = None) -> Any:
        return await self._command('delete', lambda: int(self.kept.pop(key, None) is not None))
