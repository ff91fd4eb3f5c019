# SPDX-License-Identifier: Apache-2.0
"""The contract of an explainer: a frozen dataclass whose fields are its settings."""

import dataclasses
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, Self, final, get_type_hints

import torch
import torch.nn.functional as F
from annotated_types import Interval
from pydantic import PydanticUserError, TypeAdapter, ValidationError
from torch import Tensor

from viewer import affine
from viewer.errors import ExplainerError, PluginError
from viewer.explain.evidence import evidence
from viewer.explain.layers import resolve
from viewer.explain.peers import Peer
from viewer.explain.probe import Probe
from viewer.explain.shared import INPUT
from viewer.explain.values import Values
from viewer.explain.wanted import wanted
from viewer.models import Model
from viewer.types import Attribution, Evidence, Shape3, Target, Tip

Family = Literal["CAM", "gradient", "perturbation", "attention"]
Batch = Annotated[
    int,
    Interval(ge=0, le=512),
    Tip("Changed images that run at once", "needs more memory", "as many as turn out fastest"),
]
"""A setting of methods that change the image."""
Seed = Annotated[
    int,
    Interval(ge=0, le=2**31),
    Tip(
        "The number from which the random draws begin; another one shows what is chance",
        "other draws, no better ones",
        "draws of its own, like any other number",
    ),
]
"""A setting of methods that draw at random."""
_THUMBNAIL = 64
"""Cells along each side of the picture of a baseline that a map keeps."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a map costs in passes through the network, in words, e.g. "steps" or "1 for all labels"."""

    forwards: str
    backwards: str = "0"


@dataclass(frozen=True)
class Explainer(ABC):
    """A configured method. An author declares the facts below and writes `compute`, nothing else.

    A subclass is a frozen dataclass with a default for every field; annotated types (`Literal`,
    `Annotated[int, Interval(ge=1), Tip(…)]`) become the form, its tips, the flags and the checks. A field
    named `layer` means a layer of the network, None the suggested one.
    """

    name: ClassVar[str]
    """Kebab-case, as on the command line."""
    title: ClassVar[str]
    family: ClassVar[Family]
    paper: ClassVar[str]
    shows: ClassVar[str]
    """One plain sentence: what the map shows."""
    cost: ClassVar[Cost]
    caution: ClassVar[str] = ""
    """When not to believe it: the known failures, each with its source."""
    target_dependent: ClassVar[bool] = True
    """False for a method that is the same for every label; it then names no target."""
    signed: ClassVar[bool] = True
    display_sign: ClassVar[Literal["positive", "signed"]] = "positive"
    """How a signed map is first drawn: its positive part, or both."""
    unit: ClassVar[str] = "logit"
    contribution: ClassVar[bool | None] = None
    """Whether its values are parts of a difference of the score: a map is then measured by what they come to.
    False: what it shows is erased, to find out whether it shows anything; None: it is not measured. See
    `viewer/explain/evidence.py`."""
    total: ClassVar[Literal["sum", "mean", "largest"]] = "sum"
    """What of contributions is a part of the score: the cells' sum or mean; where a part of the image has
    one value at all of its cells, the largest."""
    attention: ClassVar[bool] = False
    """Whether the method reads attention weights."""
    library: ClassVar[str] = ""
    """The package whose method this is, e.g. "captum"; it runs in a guard of its own, as a stranger's."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        for name in ("attribute", "placed", "settings", "configured"):
            if name in vars(cls):
                raise PluginError(
                    f"The explainer {cls.__name__} overrides {name}, which is not its to change."
                )

    def __post_init__(self) -> None:
        for field, adapter in _adapters(type(self)).items():
            try:
                # What was meant as a number becomes one, so that a result's key is the same.
                object.__setattr__(self, field, adapter.validate_python(getattr(self, field)))
            except ValidationError as error:
                value = getattr(self, field)
                raise ExplainerError(_fault(self.title, field, value, adapter, error)) from error

    def unsuitable(self, model: Model) -> str | None:
        """None, or a sentence why this method cannot explain this model."""
        return None

    def fitted(self, model: Model) -> Self:
        """This method with settings that mean "automatic" replaced by the numbers used for a model.

        What an export writes down is this.
        """
        return self

    def layers(self, model: Model) -> tuple[str, ...]:
        """The layers to listen to in the shared forward; by default the one in the field `layer`."""
        return (model_layer(self, model),) if hasattr(self, "layer") else ()

    def peers(self, probe: Probe, found: Mapping[str, int]) -> tuple[Peer, ...]:
        """The same method in captum and grad-cam, to be compared with; none by default.

        `probe` is of one input and one target, `found` what the map was found with (see `Values`).
        """
        return ()

    @abstractmethod
    def compute(self, probe: Probe) -> Values | Tensor:
        """Signed values at native resolution, shape (targets, n, …grid).

        The first axis has length 1 for a method that is the same for every label.
        """

    @final
    def settings(self) -> dict[str, Any]:
        """The fields and their values."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    @final
    @classmethod
    def setting_names(cls) -> tuple[str, ...]:
        """The names of the fields."""
        return tuple(_adapters(cls))

    @final
    @classmethod
    def configured(cls, wishes: Mapping[str, Any]) -> Self:
        """An instance from values, or texts as the command line gives them; raises `ExplainerError`."""
        adapters = _adapters(cls)
        values: dict[str, Any] = {}
        for name, value in wishes.items():
            if name not in adapters:
                there = ", ".join(adapters) or "none"
                raise ExplainerError(f"{cls.title} has no setting {name!r}; it has: {there}.")
            try:
                none = isinstance(value, str) and value.lower() == "none"
                values[name] = adapters[name].validate_python(None if none else value)
            except ValidationError as error:
                raise ExplainerError(_fault(cls.title, name, value, adapters[name], error)) from error
        return cls(**values)

    @final
    def attribute(self, probe: Probe) -> list[Attribution]:
        """The attributions of one batch, target by target: checks what `compute` gave and places it."""
        start = time.perf_counter()
        probe.task.check()
        probe.unlimited()
        result = self.compute(probe)
        values = result if isinstance(result, Values) else Values(result)
        seconds = time.perf_counter() - start
        self._check(values.values, probe)
        known = None if self.contribution is None else evidence(self, probe, values)
        return self.placed(probe, values, seconds, known)

    @final
    def placed(
        self,
        probe: Probe,
        values: Values,
        seconds: float = 0.0,
        found: Sequence[Sequence[Evidence]] | None = None,
    ) -> list[Attribution]:
        """Values of the shape that `compute` gives as attributions at their place, once checked.

        `found` is the evidence of each; a preview has none.
        """
        rows: list[tuple[Target, ...] | None] = list(probe.targets) if self.target_dependent else [None]
        grid = self._check(values.values, probe)
        maps = values.values.detach().float().cpu().numpy()
        errors = values.completeness_error
        small = None if values.baselines is None else _thumbnails(values.baselines).cpu().numpy()
        # Of every input its targets' values by name: what lies on a device is fetched at once.
        named = [_by_name(own, len(rows)) for own in values.features]
        layer = ", ".join(name for name in self.layers(probe.model) if name != INPUT) or None
        return [
            Attribution(
                values=maps[t, n].reshape(grid),
                matrix=source.matrix @ affine.cells(grid, source.shape),
                unit=self.unit,
                predictions=(probe.predictions[n],),
                explainer=self,
                target=None if row is None else row[n],
                layer=layer,
                completeness_error=None if errors is None else _number(errors[t, n]),
                found={name: int(some[t, n]) for name, some in values.found.items()},
                features=named[n][t] if named else {},
                regions=probe.regions if named else (),
                within=probe.limit,
                resolution=values.resolution,
                baselines=None if small is None else small[:, n],
                seconds=seconds,
                evidence=None if found is None else found[t][n],
            )
            for t, row in enumerate(rows)
            for n, source in enumerate(probe.inputs)
        ]

    def _check(self, values: Tensor, probe: Probe) -> Shape3:
        spatial, rows = probe.x.ndim - 2, len(probe.targets) if self.target_dependent else 1
        if values.ndim != 2 + spatial or values.shape[:2] != (rows, len(probe.inputs)):
            raise PluginError(
                f"{self.title} gave values of shape {tuple(values.shape)} instead of "
                f"({rows}, {len(probe.inputs)}, …) with {spatial} axes of a grid."
            )
        if not bool(torch.isfinite(values).all()):
            raise ExplainerError(f"{self.title} gave NaN or infinity; there is no map to show.")
        grid = tuple(int(n) for n in values.shape[2:])
        return (1, *grid) if spatial == 2 else grid  # type: ignore[return-value]


def model_layer(explainer: Explainer, model: Model) -> str:
    """The layer an explainer is set to, or the suggested one; raises `ExplainerError`."""
    return resolve(model, getattr(explainer, "layer", None))


def at_layers(explainer: Explainer, layers: Sequence[str]) -> tuple[Explainer, ...]:
    """The same method at each of these layers, or itself if it has no layer.

    `explain` runs one forward for all; with `stages(model)` it gives the strip from the input to the output.
    """
    if "layer" not in explainer.settings():
        return (explainer,)
    return tuple(dataclasses.replace(explainer, **{"layer": name}) for name in layers)


def _thumbnails(images: Tensor) -> Tensor:
    """Images (baselines, n, channels, …spatial) with sides of at most `_THUMBNAIL`, cells averaged."""
    shape, sides = images.shape[:3], tuple(min(side, _THUMBNAIL) for side in images.shape[3:])
    shrink: Callable[..., Tensor] = F.adaptive_avg_pool2d if len(sides) == 2 else F.adaptive_avg_pool3d
    return shrink(images.detach().float().flatten(0, 1), sides).reshape(*shape, *sides)


def _by_name(values: Mapping[str, Tensor], rows: int) -> list[dict[str, float]]:
    """The values, (targets,), of one input by name, target by target."""
    if not values:
        return [{} for _ in range(rows)]
    each = torch.stack(list(values.values())).T.tolist()
    return [dict(zip(values, own, strict=True)) for own in each]


def _number(value: Tensor) -> float | None:
    number = float(value)
    return None if number != number else number


@lru_cache(maxsize=256)
def _adapters(cls: type[Explainer]) -> dict[str, TypeAdapter[Any]]:
    hints = get_type_hints(cls, include_extras=True)
    return {f.name: TypeAdapter(hints[f.name]) for f in dataclasses.fields(cls)}


def _fault(title: str, field: str, value: object, adapter: TypeAdapter[Any], error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    said = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] != "value_error":  # which is a check of a type's own, with words of its own
        with suppress(PydanticUserError):  # a stranger's type may have no schema
            said = f"it wants {wanted(adapter.json_schema()) or 'another value'}, not {str(value)!r}"
    return f"{title}: the setting {field!r} is wrong: {said}."
