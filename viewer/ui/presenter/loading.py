# SPDX-License-Identifier: Apache-2.0
"""Opening a model for the window, on the model's worker."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viewer.errors import UntrustedError
from viewer.settings import Settings, Trusted
from viewer.ui import engine
from viewer.ui.state import MethodItem, ModelItem

if TYPE_CHECKING:
    from viewer.models import Model

_FACTS = ("target_dependent", "caution", "paper", "unit", "signed", "library")
"""Of a method, those that a broken one does not tell."""


def loaded(
    path: Path, trust: bool, settings: Settings, trusted: Collection[Trusted]
) -> "tuple[Model, ModelItem] | UntrustedError":
    """A model and what the window shows of it, or the question whether its own program may run."""
    engine.start()
    from viewer import session

    try:
        model = session.load_model(path, trust, settings, trusted)
    except UntrustedError as question:
        return question
    hints = session.setting_types()
    return model, _model_item(
        model, session.describe(model), session.suggest(model), session.stages(model), hints
    )


def _model_item(
    model: Any,
    described: Sequence[Mapping[str, Any]],
    layers: Sequence[str],
    stages: Sequence[str],
    hints: Mapping[str, Mapping[str, Any]],
) -> ModelItem:
    methods = tuple(
        MethodItem(
            d["name"], d["title"], d["family"], d["shows"],
            "; ".join(filter(None, (d.get("cost") or {}).values())), d["settings"], d["unsuitable"],
            hints.get(d["name"], {}),
            **{fact: d[fact] for fact in _FACTS if fact in d},
        )
        for d in described
    )  # fmt: skip
    patch = model.card.input.size if model.card.input.fit == "patch" else None
    return ModelItem(
        model.name, model.sha256, model.device_name, model.labels, tuple(layers), methods,
        model.card.input.dimensions == 3, tuple(stages), patch,
    )  # fmt: skip
