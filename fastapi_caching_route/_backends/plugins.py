"""Plugins of aiocache, which users put into their backends. Does not know what they do."""

from typing import Any

from fastapi_caching_route._backends.aiocache import BaseCache


class PluginOf:
    """A plugin of aiocache, called with the user's backend instead of our copy, since it may keep its state there."""

    def __init__(self, plugin: Any, backend: BaseCache) -> None:
        """Call this plugin with this backend."""
        self._plugin = plugin
        self._backend = backend

    def __getattr__(self, hook: str) -> Any:
        """A hook, such as `post_get`, which ignores the backend that it is called with."""
        called = getattr(self._plugin, hook)
        return lambda _, *args, **options: called(self._backend, *args, **options)
