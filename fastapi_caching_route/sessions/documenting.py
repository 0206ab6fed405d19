"""OpenAPI of sessions: where a client shows its token, as security schemes. Changes nothing else of a document."""

from typing import Any

from fastapi_caching_route._fastapi.effective import tree
from fastapi_caching_route._fastapi.serving import is_of_api, routes_in
from fastapi_caching_route.sessions.carrying import Installed
from fastapi_caching_route.sessions.config import SessionConfig
from fastapi_caching_route.sessions.finding import Finder


def document(app: Any, installed: Installed) -> None:
    """Add the schemes of sessions to the OpenAPI of an app; one of Starlette has none."""
    original = getattr(app, 'openapi', None)
    if original is None:
        return

    def openapi() -> dict[str, Any]:
        whole: dict[str, Any] = original()
        for prefix, route in routes_in(app):
            if not prefix and is_of_api(route):
                _describe(whole, route, installed)
        return whole

    app.openapi = openapi


def _describe(whole: dict[str, Any], route: Any, installed: Installed) -> None:
    """Describe the operations of a route. The document may be one that was described before."""
    finders = [node.call for node in tree(route.dependant, {}) if isinstance(node.call, Finder)]
    keepers = {it.keeper or installed.keeper: None for it in finders}
    configs: list[SessionConfig] = [it.config for it in keepers if it is not None]
    schemes = [it for config in configs for it in _schemes_of(config)]
    operations = whole.get('paths', {}).get(route.path_format, {})
    for operation in [operations[it.lower()] for it in route.methods if schemes and it.lower() in operations]:
        said = operation.get('security')
        if said == []:  # the user says that it needs none
            continue
        ours: list[dict[str, list[str]]] = [{_named(whole, *it): []} for it in schemes]
        if said is None and all(it.is_optional for it in finders):
            ours.append({})
        operation['security'] = [*(said or ()), *(it for it in ours if it not in (said or ()))]


def _schemes_of(config: SessionConfig) -> list[tuple[str, dict[str, str]]]:
    form = {'bearerFormat': 'JWT'} if config.token == 'jwt' else {}  # noqa: S105, no password
    schemes = {
        'cookie': ('SessionCookie', {'type': 'apiKey', 'in': 'cookie', 'name': config.cookie_name}),
        'header': ('SessionHeader', {'type': 'apiKey', 'in': 'header', 'name': config.header}),
        'bearer': ('SessionBearer', {'type': 'http', 'scheme': 'bearer', **form}),
    }
    return [schemes[it] for it in config.transports]


def _named(whole: dict[str, Any], name: str, scheme: dict[str, str]) -> str:
    """The name of a scheme in a document, to which it is added. Other sessions, and users, may have another one."""
    schemes = whole.setdefault('components', {}).setdefault('securitySchemes', {})
    found, number = name, 1
    while schemes.setdefault(found, scheme) != scheme:
        number += 1
        found = f'{name}{number}'
    return found
