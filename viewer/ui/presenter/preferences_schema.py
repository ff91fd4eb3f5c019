# SPDX-License-Identifier: Apache-2.0
"""What each preference may be in a file, as a schema of pydantic's core.

The core alone: it is imported before the first paint, and pydantic's models would take three times as long.
"""

from typing import Any, get_args

from pydantic_core import CoreSchema, SchemaValidator
from pydantic_core import core_schema as core

from viewer.settings import BATCHES, MOST_RECENT, RANGES, RATES, SLICE_MEMORY, Device, Limits, Recent, Trusted
from viewer.ui.commands import BY_NAME


def _whole(bounds: tuple[int, int]) -> CoreSchema:
    return core.int_schema(strict=True, ge=bounds[0], le=bounds[1])


def _table(fields: dict[str, CoreSchema], needed: bool = False) -> CoreSchema:
    """A table of these fields; what else a file has in it is left out."""
    return core.typed_dict_schema(
        {name: core.typed_dict_field(schema, required=needed) for name, schema in fields.items()}
    )


def _made(kind: type, fields: dict[str, CoreSchema], needed: bool = False) -> CoreSchema:
    return core.no_info_after_validator_function(lambda found: kind(**found), _table(fields, needed))


def _list_of(schema: CoreSchema) -> CoreSchema:
    return core.tuple_schema([schema], variadic_item_index=0)


def _not_empty(value: str) -> str:
    if not value:
        raise ValueError("empty")
    return value


def _known(value: Any) -> Any:
    """Keys of commands that exist: what another version called otherwise is left out."""
    return (
        {name: keys for name, keys in value.items() if name in BY_NAME} if isinstance(value, dict) else value
    )


def _newest(found: tuple[Recent, ...]) -> tuple[Recent, ...]:
    return tuple(one for one in found if one.paths)[:MOST_RECENT]


_FLAG = core.bool_schema(strict=True)
_TEXT = core.no_info_after_validator_function(_not_empty, core.is_instance_schema(str))
"""An instance, for a text of the core's own must be Unicode, and names of files need not be."""
_TEXTS = _list_of(_TEXT)
_SHA256 = core.str_schema(strict=True, pattern="^[0-9a-f]{64}$")
_OPENED = core.no_info_after_validator_function(
    _newest, _list_of(_made(Recent, {"paths": _TEXTS, "opened": _TEXT}, needed=True))
)

FIELDS = {
    "colours": core.literal_schema(["dark", "light"]),
    "masked": _FLAG,
    "remember": _FLAG,
    "rate": _whole(RATES),
    "device": core.literal_schema(list(get_args(Device))),
    "batch": _whole(BATCHES),
    "slice_memory": _whole(SLICE_MEMORY),
    "limits": _made(Limits, {name: _whole(bounds) for name, bounds in RANGES.items()}),
    "keys": core.no_info_before_validator_function(_known, core.dict_schema(values_schema=_TEXTS)),
    "studies": _OPENED,
    "models": _OPENED,
    "trusted": _list_of(_made(Trusted, {"code": _SHA256, "weights": _SHA256}, needed=True)),
}
"""By the name of a field of `viewer.settings.Preferences`."""
PREFERENCES = SchemaValidator(_table(FIELDS))
"""Gives those of the fields that a document has."""
