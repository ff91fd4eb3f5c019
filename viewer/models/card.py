# SPDX-License-Identifier: Apache-2.0
"""The model card: what the weights cannot say, checked with messages that name the field."""

import difflib
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, Literal, Self, get_args

import yaml
from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from viewer.errors import ModelError
from viewer.models.card_values import TO_FILL, Pair, Part, Positive, Values
from viewer.models.folders import CONFIG, fields
from viewer.models.foreign import foreign
from viewer.models.shards import is_index

CARD = "model.yaml"
WEIGHTS = (".safetensors", ".pt", ".pth", ".th", ".ckpt", ".bin", ".pt2", ".pkl")
_MAX_CARD_BYTES = 1024**2
_MAX_NUMBERS = 2**29  # of one input: 2 GiB as float32


class Input(Part):
    """The tensor that the network reads, and how it is made from a series."""

    dimensions: Literal[2, 3] = 2
    channels: int = Field(default=1, ge=1)
    size: tuple[int, ...]
    fit: Literal["squash", "pad", "crop", "patch"] = "squash"
    values: Values = "voi"
    clip: Pair | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[Positive, ...] | None = None
    spacing: tuple[Positive, ...] | None = None
    """Millimetres between rows and columns (2D), or slices, rows and columns (3D)."""
    orientation: str | None = None
    """Towards what columns, rows (and slices) increase, e.g. "LP" or "LPH"; S, I mean H, F."""
    outside: Literal["air", "mirror"] = "air"
    """What the network is shown beyond the image: its lowest value, or the image as in a mirror."""
    neighbours: int = Field(default=0, ge=0)
    """Slices on either side that a 2D network sees as channels."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        n = self.dimensions
        if len(self.size) != n or min(self.size) < 1:
            raise ValueError(f"size wants {n} numbers of at least 1")
        if math.prod(self.size) * self.channels > _MAX_NUMBERS:
            raise ValueError("size and channels ask for more numbers than memory can hold")
        if self.spacing is not None and len(self.spacing) != n:
            raise ValueError(f"spacing wants {n} numbers")
        if self.spacing is not None and self.fit == "squash":
            raise ValueError("spacing and fit: squash contradict each other; use pad, crop or patch")
        for name, value in (("mean", self.mean), ("std", self.std)):
            if value is not None and len(value) not in (1, self.channels):
                raise ValueError(f"{name} wants 1 or {self.channels} numbers")
        if self.neighbours and (n == 3 or self.channels != 2 * self.neighbours + 1):
            raise ValueError("neighbours wants dimensions: 2 and channels: 2 × neighbours + 1")
        if self.orientation is not None:
            object.__setattr__(self, "orientation", _orientation(self.orientation, n))
        if self.clip is not None and self.clip[0] >= self.clip[1]:
            raise ValueError("clip wants two rising numbers")
        return self


def _orientation(text: str, dimensions: int) -> str:
    letters = text.upper().replace("S", "H").replace("I", "F")
    axes = {"L": 0, "R": 0, "P": 1, "A": 1, "H": 2, "F": 2}
    if len(letters) != dimensions or len({axes.get(c, c) for c in letters} & {0, 1, 2}) != dimensions:
        raise ValueError(f"orientation wants {dimensions} letters of L/R, P/A and H/F, one of each pair")
    return letters


class Output(Part):
    """The numbers that the network gives."""

    labels: tuple[str, ...] = Field(min_length=1)
    activation: Literal["sigmoid", "softmax", "none"] = "sigmoid"
    thresholds: dict[str, float] = Field(default_factory=dict)
    select: str | int | None = None
    """The entry of a tuple or dict output that holds the logits."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels wants every name once")
        if self.activation == "softmax" and len(self.labels) == 1:
            raise ValueError("activation: softmax of a single label is always 1; use sigmoid")
        unknown = sorted(set(self.thresholds) - set(self.labels))
        if unknown:
            raise ValueError(f"thresholds names {unknown[0]!r}, which is not a label")
        return self


class AttentionFacts(Part):
    """Where a transformer's tokens lie, if the program cannot see it."""

    prefix: int = Field(default=0, ge=0)
    """Class and register tokens before the patches."""
    grid: tuple[int, ...] | None = None
    pool: Literal["class", "mean"] = "class"
    """Whether the first token or the mean of the patches feeds the classifier."""


class Explain(Part):
    """Hints for explainers."""

    layers: tuple[str, ...] = ()
    attention: AttentionFacts | None = None
    baseline: str | None = None
    """A file beside the weights, the mean of the data set or some images of it: prepared pixels as .npy,
    ([images,] channels, …), or an image that is prepared like the input."""

    @field_validator("baseline")
    @classmethod
    def _beside(cls, name: str | None) -> str | None:
        if name is not None and (PurePath(name).is_absolute() or ".." in PurePath(name).parts):
            raise ValueError("wants a file in the folder of the model")
        return name


class Accepts(Part):
    """The studies this model was made for; an absent list accepts everything."""

    modality: tuple[str, ...] | None = None
    body_part: tuple[str, ...] | None = None
    view: tuple[str, ...] | None = None


class Calibration(Part):
    temperature: Positive


class Card(Part):
    """A model card, `model.yaml`."""

    name: str = Field(min_length=1)
    architecture: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    weights: str
    sha256: str | None = Field(default=None, pattern="^[0-9a-fA-F]{64}$")
    weights_key: str | None = None
    input: Input
    output: Output
    explain: Explain = Explain()
    accepts: Accepts = Accepts()
    trained_on: str = ""
    measured: dict[str, Any] | str | None = None
    calibration: Calibration | None = None
    intended_use: str = ""


def find_card(path: Path) -> Path:
    """The card, or the Hugging Face `config.json`, that `path` (a folder or the file) means."""
    other = foreign(path)
    if other is not None:
        raise ModelError(other)
    if path.is_file():
        if path.suffix.lower() in WEIGHTS or is_index(path):
            raise ModelError(
                f"{path.name} is weights alone; a model is a folder with a {CARD} beside them, which "
                "`whyscope card` drafts."
            )
        return path
    if not path.exists():
        raise ModelError(f"There is no model at {path}; give a model folder or its {CARD}.")
    for name in (CARD, "model.yml", CONFIG):
        if (path / name).is_file():
            return path / name
    raise ModelError(
        f"The folder {path.name} holds no {CARD} (nor a config.json with model.safetensors); "
        "`whyscope card` drafts one from the weights."
    )


class _Loader(yaml.SafeLoader):
    """YAML without aliases, by which a few lines can stand for gigabytes, and without double fields.

    Of plain words only true and false are booleans: `on`, `no` and dates are text.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":timestamp"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases are not allowed", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        mapping = super().construct_mapping(node, deep)
        if len(mapping) != len(node.value):
            raise yaml.MarkedYAMLError(problem="a field is given twice", problem_mark=node.start_mark)
        return mapping


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("(true|false)$", re.I), list("tTfF"))


def read_card(path: Path) -> Card:
    """Read and check a card file; raises `ModelError` naming the field at fault."""
    data = read_fields(path)
    open_fields = list(_open(data))
    if open_fields and path.suffix == ".json":
        raise ModelError(
            f"The folder {path.parent.name} does not say {', '.join(open_fields)}: copy its "
            f"preprocessor_config.json too, or complete the {CARD} that `whyscope card` drafts from it."
        )
    if open_fields:
        raise ModelError(f"{path.name} is a draft; complete its fields {', '.join(open_fields)}.")
    try:
        return Card.model_validate(data)
    except ValidationError as error:
        raise ModelError(f"{path.name}: {_sentence(error)}") from error


def read_fields(path: Path) -> dict[str, Any]:
    """The fields of a card file, unchecked, or those that a `config.json` stands for; raises `ModelError`."""
    try:
        if path.stat().st_size > _MAX_CARD_BYTES:
            raise ModelError(f"{path.name} is too large for a model card.")
        text = path.read_text(encoding="utf-8")
        data = json.loads(text) if path.suffix == ".json" else yaml.load(text, _Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path.name} cannot be read as text; a model card is a YAML file.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}: {getattr(error, 'problem', '')}" if where else ""
        kind = "JSON" if path.suffix == ".json" else "YAML"
        raise ModelError(f"{path.name} is not valid {kind}{line}.") from error
    if not isinstance(data, dict):
        raise ModelError(f"{path.name} is not a model card; it holds no fields.")
    if path.suffix == ".json":
        data = fields(data, path)
    found: dict[str, Any] = data
    return found


def _open(data: Any, name: str = "") -> Iterator[str]:
    """The fields of a draft that are still to be filled."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _open(value, f"{name}.{key}" if name else str(key))
    elif data == TO_FILL or (isinstance(data, list) and TO_FILL in data):
        yield name


def _sentence(error: ValidationError) -> str:
    """The first fault of a card in words."""
    faults = error.errors(include_url=False)
    unknown = [f for f in faults if f["type"] == "extra_forbidden"]
    fault = (unknown or faults)[0]
    parts = [str(p) for p in fault["loc"]]
    if parts[:2] == ["input", "values"]:
        del parts[2:3]  # the way, which is no field
    name = ".".join(p for p in parts if p != "str" and not p.startswith("dict["))
    if fault["type"] == "extra_forbidden":
        close = _close(name)
        return f"the field {name!r} is unknown{f'; did you mean {close!r}?' if close else '.'}"
    if fault["type"] == "missing":
        return f"the field {name!r} is missing."
    message = str(fault["msg"]).removeprefix("Value error, ")
    more = "" if len(faults) == 1 else f" (and {len(faults) - 1} more)"
    return f"the field {name!r}: {message}{more}."


def _close(name: str) -> str | None:
    """The known field whose last name is most like that of an unknown one."""
    known = {field.rpartition(".")[2]: field for field in _names(Card)}
    close = difflib.get_close_matches(name.rpartition(".")[2], known, 1)
    return known[close[0]] if close else None


def _names(part: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every field with the parts it lies in, e.g. "input.values.window"."""
    for name, info in part.model_fields.items():
        name = info.alias or name
        yield prefix + name
        for kind in _parts(info.annotation):
            yield from _names(kind, f"{prefix}{name}.")


def _parts(annotation: Any) -> Iterator[type[BaseModel]]:
    """The parts of a card in a type, e.g. in an optional or a choice of several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _parts(inner)
