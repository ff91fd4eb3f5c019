# SPDX-License-Identifier: Apache-2.0
"""Whether a GPU gives the maps that the CPU gives: every method on every kind of miniature network.

    python benchmarks/devices.py [--device cuda] [--json]

The figure of a pair is the largest difference between the two maps as a part of the largest value.
"""

import argparse
import copy
import json
import sys
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "explain")]

from explain_nets import NETS, inputs_of, make  # noqa: E402

from viewer.explain import Explainer, discover, explain  # noqa: E402
from viewer.models import Model  # noqa: E402

QUICK = {"occlusion": {"window": "4"}}
BOUND = 1e-3


def twin(model: Model, device: torch.device) -> Model:
    """The same network on another device."""
    return Model(model.card, copy.deepcopy(model._module), model.sha256, device)


def difference(model: Model, other: Model, method: Explainer) -> float | str | None:
    """The largest part by which the maps of two devices differ; why only one has a map; None if neither."""
    ours, theirs = (explain(m, inputs_of(m), [method]) for m in (model, other))
    if ours.refused and ours.refused == theirs.refused:
        return None
    for found in (ours, theirs):
        if found.refused:
            return found.refused[0][1]
    a, b = ours.attributions[0].values, theirs.attributions[0].values
    return float(abs(a - b).max() / abs(a).max())


def compare(device: torch.device) -> dict[str, dict[str, float | str]]:
    """Every method on every network that it suits."""
    table: dict[str, dict[str, float | str]] = {}
    for found in discover():
        method = found.load().configured(QUICK.get(found.name, {}))
        table[found.name] = {}
        for kind in (*NETS, "gated CNN"):
            model = make(kind)
            if method.unsuitable(model) is None:
                by = difference(model, twin(model, device), method)
                table[found.name] |= {} if by is None else {kind: by}
    return table


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    words.add_argument("--device", default="cuda")
    words.add_argument("--json", action="store_true")
    asked = words.parse_args()
    device = torch.device(asked.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else asked.device
    table = compare(device)
    document: dict[str, Any] = {"device": name, "bound": BOUND, "differences": table}
    if asked.json:
        print(json.dumps(document, indent=1, ensure_ascii=False))
        return
    print(f"{name} and CPU; the largest difference as a part of the largest value, aim ≤ {BOUND:g}")
    for method, row in table.items():
        said = ", ".join(
            f"{kind} {v:.1e}" if isinstance(v, float) else f"{kind}: {v}" for kind, v in row.items()
        )
        missed = any(isinstance(v, str) or v > BOUND for v in row.values())
        print(f"  {method:<24} {said}{'  missed' if missed else ''}")


if __name__ == "__main__":
    main()
