"""What the bodies of a response model look like, as text that is equal in every process that runs the same code."""

import json
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from fastapi_caching_route._fastapi.effective import qualified, without_addresses


def outline(model: Any, *, by_alias: bool) -> tuple[str, ...]:
    """The JSON schemas of a response model, nested models included; of what has none, its name.

    A route whose outline changes with a deploy does not answer from the entries of before. That is the schema of what
    is sent and of what is validated, by which values of the endpoint are changed too.
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
    except Exception:  # noqa: BLE001, a model of the user's may do anything: its name has to do
        return qualified(model)
    return without_addresses(text)


class _Forgiving(GenerateJsonSchema):
    """Gives what has no JSON schema one that only names it, so that the rest of the model still counts."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:
        """Name it."""
        return {'not in JSON Schema': f'{error_info} {qualified(schema.get("cls"))}'}

    def emit_warning(self, kind: Any, detail: str) -> None:
        """Warn of nothing: nobody reads the schema."""


def _steady(thing: Any, *, has_sets: bool, in_default: bool = False) -> Any:
    """The same with defaults that are sets in one order: each process has an order of its own."""
    if isinstance(thing, dict):
        return {
            name: _steady(value, has_sets=has_sets, in_default=in_default or name == 'default')
            for name, value in thing.items()
        }
    if not isinstance(thing, list):
        return thing
    items = [_steady(it, has_sets=has_sets, in_default=in_default) for it in thing]
    return sorted(items, key=repr) if has_sets and in_default else items
