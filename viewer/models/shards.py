# SPDX-License-Identifier: Apache-2.0
"""Weights that are parted into several files, and the index that lists these, as Hugging Face's hub has it.

`model.safetensors.index.json` holds `weight_map`: the file of every tensor by the tensor's name.
"""

import json
from pathlib import Path
from typing import Any

from viewer.errors import ModelError

_ENDS = (".safetensors.index.json", ".bin.index.json")
_MAX_BYTES = 2**26
_MOST_FILES = 1000


def is_index(path: Path) -> bool:
    """Whether a file lists parts, by its name."""
    return path.name.endswith(_ENDS)


def parts(path: Path) -> tuple[Path, ...]:
    """The files that an index lists, in the order of their names; none where the file is no index.

    Raises `ModelError` for an index that lists what does not lie beside it.
    """
    if not is_index(path):
        return ()
    names = sorted(set(listed(path).values()))
    if len(names) > _MOST_FILES:
        raise ModelError(f"The index {path.name} lists {len(names)} files; the most is {_MOST_FILES}.")
    for name in names:
        if not name or name != Path(name).name or "\\" in name or name.startswith("."):
            raise ModelError(f"The index {path.name} lists {name[:80]!r}, which is no file beside it.")
    absent = [name for name in names if not (path.parent / name).is_file()]
    if absent:
        more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
        raise ModelError(
            f"The index {path.name} lists {', '.join(absent[:3])}{more}, not there; copy all parts."
        )
    return tuple(path.parent / name for name in names)


def listed(path: Path) -> dict[str, str]:
    """The file of every tensor, by the tensor's name."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ModelError(f"The index {path.name} is too large to be one.")
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"The index {path.name} cannot be read as JSON; copy the file again.") from error
    found = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(found, dict) or not found or not all(isinstance(v, str) for v in found.values()):
        raise ModelError(f"The index {path.name} lists no weights (weight_map); copy the file again.")
    return found
