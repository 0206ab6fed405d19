"""Response models as text that is equal in all processes that run the same code."""

import json
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from fastapi_caching_route._fastapi.effective import qualified, without_addresses


def outline(model: Any, *, by_alias: bool) -> tuple[str, ...]:
    """The JSON schemas of a response model, with nested models; its name if it has no schema.

    They are in the cache key, so a deploy that changes the model does not serve old entries. There are two schemas: of
    the response, and of the values that the endpoint returns, because their validation affects the response too.
    """
    return (
        ()
        if model is None
        else tuple(_schema(model, mode, by_alias=by_alias) for mode in ('serialization', 'validation'))
    )


def _schema(model: Any, mode: Any, *, by_alias: bool) -> str:
    try:
        schema = TypeAdapter(model).json_schema(by_alias=by_alias, schema_generator=_Forgiving, mode=mode)
        text = json.dumps(
            _steady(schema, has_sets='"uniqueItems"' in json.dumps(schema, default=qualified)),
            sort_keys=True,
            default=qualified,
        )
    except Exception:  # noqa: BLE001, the user's model may do anything: only its name is used
        return qualified(model)
    return without_addresses(text)


class _Forgiving(GenerateJsonSchema):
    """Gives types without a JSON schema one with their name, so that the rest of the model keeps its schema."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:
        """Return a schema with the name of the type."""
        return {'not in JSON Schema': f'{error_info} {qualified(schema.get("cls"))}'}

    def emit_warning(self, kind: Any, detail: str) -> None:
        """Emit no warning: the schema is only a part of keys."""


def _steady(thing: Any, *, has_sets: bool, in_default: bool = False) -> Any:
    """The schema with sets in defaults sorted, because their order differs between processes."""
    if isinstance(thing, dict):
        return {
            name: _steady(value, has_sets=has_sets, in_default=in_default or name == 'default')
            for name, value in thing.items()
        }
    if not isinstance(thing, list):
        return thing
    items = [_steady(it, has_sets=has_sets, in_default=in_default) for it in thing]
    return sorted(items, key=repr) if has_sets and in_default else items
