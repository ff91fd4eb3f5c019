# SPDX-License-Identifier: Apache-2.0
"""How much maps of trained networks speak of, and of networks that ignore the image: limits of `Evidence`.

`python scripts/measure_evidence.py [--cases N] [--folder FOLDER …] [--out FILE]`. A folder holds models with
their cards, and pictures or studies that lie beside them are what they are asked about; without one there are
the shipped models and networks of phantoms. Of each network there are four kinds: as it was trained; with its
last layer's weights zero, so that the output is the bias; with these a part of what they were, about a bias
that keeps the score; and with an output of nothing but rounding.
"""

import argparse
import copy
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from planted import SIZES, as_input, cases, train
from torch import nn

from viewer import session
from viewer.dicom import scan
from viewer.errors import WhyscopeError
from viewer.explain import discover, explain
from viewer.models import Model
from viewer.types import Evidence, ModelInput

ROOT = Path(__file__).parents[1]
PARTS = (1e-2, 1e-4, 1e-6, 1e-9)
"""What is left of the last layer's weights."""
QUICK = {
    "smooth-grad": {"samples": "6"}, "var-grad": {"samples": "6"}, "expected-gradients": {"samples": "8"},
    "integrated-gradients": {"steps": "16"}, "rise": {"masks": "80"}, "kernel-shap": {"samples": "120"},
    "lime": {"samples": "120"}, "shapley-value-sampling": {"orders": "2"}, "deep-lift-shap": {"samples": "4"},
    "layer-conductance": {"steps": "8"}, "internal-influence": {"steps": "8"},
}  # fmt: skip
"""Settings that make slow methods quick; the sum of their maps needs no fine steps."""


def phantoms(count: int) -> Iterator[tuple[str, Model, list[ModelInput]]]:
    """Networks that learned from phantoms, and phantoms that they never saw."""
    for kind in ("cnn", "vit", "cnn3d"):
        made, _ = cases(SIZES[kind], "lesion", count, 777_000_000)
        yield f"phantom {kind}", train(kind, "lesion"), [as_input(one.image) for one in made]


def real(folder: Path, count: int) -> Iterator[tuple[str, Model, list[ModelInput]]]:
    """The models of a folder, each with what of the studies beside them it can be asked about."""
    for card in sorted((folder / "models").glob("*/model.yaml")):
        model = session.load_model(card.parent, trust=True)
        given: list[ModelInput] = []
        for path in sorted((folder / "studies").rglob("*")):
            if path.is_dir() or path.suffix not in (".png", ".dcm") or len(given) >= count:
                continue
            if path.suffix == ".dcm" and path.parent.name == "ct" and path.name != "001.dcm":
                continue
            with_all = path.parent if path.parent.name == "ct" else path
            given += prepared(model, with_all)
        if given:
            yield card.parent.name, model, given[:count]


def prepared(model: Model, path: Path) -> list[ModelInput]:
    """The middle slice or the volume of a path, as the model reads it; nothing where it cannot."""
    study = scan([path])
    try:
        return session.inputs(study.series[0], model) if study.series else []
    except WhyscopeError:
        return []


def last_layer(net: nn.Module) -> nn.Linear:
    """The last linear layer."""
    return [m for m in net.modules() if isinstance(m, nn.Linear)][-1]


def weakened(model: Model, inputs: Sequence[ModelInput], part: float) -> Model:
    """The same network with so much of its last layer left, and a bias that keeps the mean score."""
    net = copy.deepcopy(model._module)  # the guard lends no network to keep
    layer = last_layer(net)
    logits = torch.tensor([[s.logit for s in p.scores] for p in model.predict(list(inputs))])
    with torch.no_grad():
        layer.weight *= part
        if layer.bias is not None:
            layer.bias.copy_(logits.mean(0)[: len(layer.bias)])
    return Model(model.card, net, model.sha256, model.device, folder=model.folder)


def measured(model: Model, inputs: Sequence[ModelInput]) -> Iterator[tuple[str, Evidence]]:
    """Every map of every method that suits: its method and what it speaks of."""
    for found in discover():
        if found.broken is not None:
            continue
        method = found.load().configured(QUICK.get(found.name, {}))
        try:
            maps = explain(model, inputs, [method], ["top"], batch=4).attributions
        except WhyscopeError:
            continue
        yield from ((found.name, one.evidence) for one in maps if one.evidence is not None)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    words.add_argument("--cases", type=int, default=6)
    words.add_argument("--folder", type=Path, action="append", default=[])
    words.add_argument("--out", type=Path)
    asked = words.parse_args()
    out = sys.stdout if asked.out is None else asked.out.open("w", encoding="utf-8")
    sets = [one for folder in [ROOT / "resources/demo", *asked.folder] for one in real(folder, asked.cases)]
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    lowest: dict[str, list[float]] = defaultdict(list)
    for name, model, inputs in [*phantoms(asked.cases), *sets]:
        for part in (1.0, 0.0, *PARTS):
            tried = model if part == 1 else weakened(model, inputs, part)
            for method, one in measured(tried, inputs):
                kind = "trained" if part == 1 else f"last layer × {part:g}"
                counts[kind][0] += one.negligible
                counts[kind][1] += 1
                lowest[f"{kind}, {one.measure}"].append(one.share)
                if one.negligible is (part == 1):
                    print(f"{name}, {kind}: {method} {one}", file=out, flush=True)
    for kind, (none, every) in counts.items():
        print(f"{kind}: {none} of {every} maps are negligible ({100 * none / every:.2f} %)", file=out)
    for words_, shares in sorted(lowest.items()):
        spread = np.quantile(shares, (0, 0.01, 0.05, 0.5, 1))
        print(f"{words_} ({len(shares)}): " + " ".join(f"{q:.1e}" for q in spread), file=out)


if __name__ == "__main__":
    main()
