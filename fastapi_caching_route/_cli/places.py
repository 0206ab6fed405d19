"""What a command acts on: the caches of an app, or a store by its URL. Knows neither commands nor how they print."""

import importlib
import sys
import sysconfig
import traceback
from collections.abc import Callable
from inspect import Parameter, signature
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
    """The app at a place like `module:name`, or the one that the function there builds.

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
    built = app if hasattr(app, 'routes') or not callable(app) else _built(place, app)
    if not hasattr(built, 'routes'):
        msg = f'{place} is not a FastAPI or Starlette app, but an object of type {type(built).__name__}'
        raise Refusal(msg, WRONG_ARGUMENTS)
    return built


def _built(place: str, factory: Callable[[], Any]) -> Any:
    """The app that a function builds, as with `uvicorn --factory`."""
    try:
        needed = [it.name for it in signature(factory).parameters.values() if _is_needed(it)]
        if not needed:
            return factory()
    except OF_MODULES as error:
        msg = f'{place}: {_in_words(error)}'
        raise Refusal(msg, WRONG_ARGUMENTS) from None
    msg = (
        f'{place} is not a FastAPI or Starlette app, but a {type(factory).__name__} that needs {", ".join(needed)}: '
        'name the app, or a function without arguments that builds it'
    )
    raise Refusal(msg, WRONG_ARGUMENTS)


def _is_needed(parameter: Parameter) -> bool:
    return parameter.default is Parameter.empty and parameter.kind not in (
        Parameter.VAR_POSITIONAL,
        Parameter.VAR_KEYWORD,
    )


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
    app = None if place is None else imported(place)
    try:
        caches = _by_url(url) if app is None else _in_app(app, url)
    except ConfigurationError as error:
        raise Refusal(str(error), WRONG_ARGUMENTS) from None
    if not caches:
        msg = f'{place} has no route with @cache(...)'
        raise Refusal(msg, WRONG_ARGUMENTS)
    for cache in caches:
        _check_shared(cache)
    return caches, app


def _by_url(url: str | None) -> list[FastAPICache]:
    if url is None:
        raise Refusal('give an app (module:name) or --url', WRONG_ARGUMENTS)
    return [FastAPICache.from_url(url)]


def _in_app(app: Any, url: str | None) -> list[FastAPICache]:
    """The caches of an app. Those that get their backend when the app starts use the store at the URL."""
    caches = [_cache_of(it) for it in caches_of(app)]
    if url is not None and any(it._settings.backend is not None for it in caches):  # noqa: SLF001, of the package
        raise Refusal('the cache of this app has a store: give the app or --url, and not both', WRONG_ARGUMENTS)
    if url is not None:
        for cache in caches:
            cache.use(url)
    return caches


def _cache_of(settings: Settings) -> FastAPICache:
    """The cache of these settings, which are all that it has."""
    cache = FastAPICache.__new__(FastAPICache)
    cache._settings = settings  # noqa: SLF001, of the package
    return cache


def _check_shared(cache: FastAPICache) -> None:
    settings = cache._settings  # noqa: SLF001, of the package
    if settings.backend is None:
        raise Refusal(
            'the cache gets its backend when the app starts (cache.use): give the URL of its store as --url, too'
        )
    if not settings.store.is_shared:
        msg = (
            f'the store is a {type(settings.backend).__name__}, in the memory of each process: this command would act '
            'on its own memory, and not on that of the app; use LMDBCache or Redis, or do it inside of the app'
        )
        raise Refusal(msg)
