# SPDX-License-Identifier: Apache-2.0
"""What a setting of an explainer accepts, in words."""

from collections.abc import Mapping
from typing import Any

_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "a text",
    "null": "none",
}
"""By their names in JSON schema."""


def wanted(schema: Mapping[str, Any]) -> str:
    """What fits a JSON schema, e.g. "a whole number from 0 to 1000"; "" where the schema says nothing."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(filter(None, map(wanted, schema["anyOf"]))))
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if values:
        *others, last = map(str, values)
        return f"{', '.join(others)} or {last}" if others else last
    kind = _KINDS.get(schema.get("type", ""), "")
    return f"{kind} {_bounds(schema)}".strip()


def _bounds(schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        return f"from {least:.15g} to {most:.15g}"
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    said = (
        ("of at least", least), ("above", above), ("of at most", most), ("below", below),
    )  # fmt: skip
    return " and ".join(f"{words} {bound:.15g}" for words, bound in said if bound is not None)
