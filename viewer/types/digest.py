# SPDX-License-Identifier: Apache-2.0
"""What tells contents apart: one form for all that means the same, and a short digest of it."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

_WHOLE = 2.0**53
"""Up to here every whole number is a float of its own."""


def canonical(value: Any) -> Any:
    """A value as JSON can hold it, the same for all that compare as equal: 1 and 1.0, 0 and −0, a tuple and
    a list, a dataclass and its fields by name. Of an array it is the digest, with its type and shape."""
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        return int(value) if value.is_integer() and abs(value) <= _WHOLE else value
    if isinstance(value, np.generic):
        return canonical(value.item())
    if isinstance(value, np.ndarray):
        return [value.dtype.str, list(value.shape), _hash(np.ascontiguousarray(value).data)]
    if isinstance(value, Mapping):
        return {str(key): canonical(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(one) for one in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: canonical(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return str(value) if isinstance(value, PurePath) else repr(value)


def text(value: Any) -> str:
    """The canonical form as JSON, names in order."""
    return json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """32 hexadecimal digits that tell a value from every other (BLAKE2b, RFC 7693, of its canonical form)."""
    return _hash(text(value).encode("utf-8", "surrogatepass"))


def _hash(data: bytes | memoryview) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
