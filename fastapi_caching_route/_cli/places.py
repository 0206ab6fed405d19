"""What a command acts on: the caches of an app, or a store by its URL. Knows neither commands nor how they print."""

import importlib
import sys
import sysconfig
import traceback
from typing import Any

from fastapi_caching_route._cli.ending import WRONG_ARGUMENTS, Refusal
from fastapi_caching_route._routes.caches import caches_of
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route.cache import FastAPICache
from fastapi_caching_route.errors import CacheError, ConfigurationError

OF_MODULES = (
    *(ArithmeticError, AssertionError, AttributeError, BufferError, CacheError, EOFError, ImportError, LookupError),
    *(NameError, OSError, RuntimeError, SyntaxError, SystemExit, TypeError, ValueError),
)
"""What a module of the user's may raise, such as a KeyError for a variable that is not set. A SystemExit would end the
command as if it had been successful."""


OF_LIBRARIES = ('<', sysconfig.get_path('stdlib'), sysconfig.get_path('purelib'), sysconfig.get_path('platlib'))
"""How the names of the files begin that are not the user's."""


def imported(place: str) -> Any:
    """The app at a place like `module:name`.

    Raises:
        Refusal: there is none.

    """
    module, _, name = place.partition(':')
    sys.path.insert(0, '')  # the current directory, as in uvicorn
    try:
        app: Any = importlib.import_module(module)
    except OF_MODULES as error:
        msg = f'{place}: {_in_words(error)}'
        raise Refusal(msg, WRONG_ARGUMENTS) from None
    for part in (name or 'app').split('.'):
        if not hasattr(app, part):
            msg = f'{place}: there is no {part!r} in {module}'
            raise Refusal(msg, WRONG_ARGUMENTS)
        app = getattr(app, part)
    if not hasattr(app, 'routes'):
        hint = '; if it is a function that builds the app, name a module that calls it' if callable(app) else ''
        msg = f'{place} is not a FastAPI or Starlette app, but an object of type {type(app).__name__}{hint}'
        raise Refusal(msg, WRONG_ARGUMENTS)
    return app


def _in_words(error: BaseException) -> str:
    """What a module has raised, and where: the last line that is of no library."""
    said = f'{type(error).__name__}: {error}'
    frames = traceback.extract_tb(error.__traceback__)
    where = [it for it in frames if not (it.filename == __file__ or it.filename.startswith(OF_LIBRARIES))]
    return f'{said} ({where[-1].filename}, line {where[-1].lineno})' if where else said


def shared_caches(place: str | None, url: str | None) -> tuple[list[FastAPICache], Any]:
    """The caches on which a command acts, one for each store, and the app.

    Raises:
        Refusal: there is none, or its store is that of one process: then the command would act on its own memory.

    """
    if (place is None) == (url is None):
        raise Refusal('give an app (module:name) or --url, and not both', WRONG_ARGUMENTS)
    app = None if place is None else imported(place)
    try:
        caches = [FastAPICache.from_url(url)] if url is not None else [_cache_of(it) for it in caches_of(app)]
    except ConfigurationError as error:
        raise Refusal(str(error), WRONG_ARGUMENTS) from None
    if not caches:
        msg = f'{place} has no route with @cache(...)'
        raise Refusal(msg, WRONG_ARGUMENTS)
    for cache in caches:
        _check_shared(cache)
    return caches, app


def _cache_of(settings: Settings) -> FastAPICache:
    """The cache of these settings, which are all that it has."""
    cache = FastAPICache.__new__(FastAPICache)
    cache._settings = settings  # noqa: SLF001, of the package
    return cache


def _check_shared(cache: FastAPICache) -> None:
    settings = cache._settings  # noqa: SLF001, of the package
    if settings.backend is None:
        raise Refusal('the cache gets its backend when the app starts (cache.use); give the store as --url')
    if not settings.store.is_shared:
        msg = (
            f'the store is a {type(settings.backend).__name__}, in the memory of each process: this command would act '
            'on its own memory, and not on that of the app; use LMDBCache or Redis, or do it inside of the app'
        )
        raise Refusal(msg)
