# SPDX-License-Identifier: Apache-2.0
"""What a model says: logits, scores, thresholds, and the sentences for outputs that make no sense."""

import threading
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_files import folder_of, inputs, model_of, series, small
from torch import Tensor, nn

from viewer.errors import ModelError
from viewer.models import Model, load
from viewer.models.guard import _FULL
from viewer.models.load import device
from viewer.settings import Settings
from viewer.task import Cancelled, Progress, Task


class Says(nn.Module):
    """A network that gives what a function makes of its input, and a first weight of 1."""

    def __init__(self, say: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(1))
        self.say = say

    def forward(self, x: Tensor) -> Any:
        return self.say(x * self.one)


def constant(*logits: float) -> Says:
    return Says(lambda x: torch.tensor(logits, device=x.device).expand(len(x), -1))


def scores(model: Model, count: int = 1) -> list[list[tuple[float, float]]]:
    return [[(s.logit, s.probability) for s in p.scores] for p in model.predict(inputs(count))]


# --- numbers --------------------------------------------------------------------------------------


def test_batches_say_what_single_inputs_say() -> None:
    model = model_of(small())
    given = inputs(7)
    one_by_one = [model.predict([i])[0] for i in given]
    for batch in (2, 3, 7, 100):
        together = model.predict(given, batch=batch)
        assert [p.input for p in together] == given
        for a, b in zip(together, one_by_one, strict=True):
            assert [s.logit for s in a.scores] == pytest.approx([s.logit for s in b.scores], abs=1e-6)
    assert len({p.scores[0].logit for p in one_by_one}) == 7


def test_no_inputs_no_predictions() -> None:
    assert model_of(small()).predict([]) == ()


def test_softmax() -> None:
    model = model_of(constant(1.0, 2.0))
    low, high = 1 / (1 + np.e), np.e / (1 + np.e)
    assert scores(model) == [[pytest.approx((1, low)), pytest.approx((2, high))]]
    (prediction,) = model.predict(inputs(1))
    assert prediction.top.label == "yes"
    assert prediction.score("no").logit == 1


def test_sigmoid() -> None:
    model = model_of(constant(0.0, 2.0), output__activation="sigmoid")
    assert scores(model) == [[(0, 0.5), pytest.approx((2, 1 / (1 + np.exp(-2))))]]


def test_no_activation() -> None:
    model = model_of(constant(-3.0, 70.5), output__activation="none")
    assert scores(model) == [[(-3, -3), (70.5, 70.5)]]


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_a_temperature_makes_a_probability(activation: str) -> None:
    plain = model_of(constant(1.0, 3.0), output__activation=activation)
    warm = model_of(constant(1.0, 3.0), output__activation=activation, calibration={"temperature": 4})
    quarter = model_of(constant(0.25, 0.75), output__activation=activation)
    (a,), (b,), (c,) = (m.predict(inputs(1)) for m in (plain, warm, quarter))
    assert [s.calibrated for s in a.scores] == [False, False]
    assert [s.calibrated for s in b.scores] == [True, True]
    assert [s.logit for s in b.scores] == [1, 3]
    assert [s.probability for s in b.scores] == pytest.approx([s.probability for s in c.scores])
    assert b.scores[1].probability < a.scores[1].probability


def test_thresholds() -> None:
    model = model_of(constant(0.0, 0.1), output__activation="sigmoid", output__thresholds={"yes": 0.52})
    (prediction,) = model.predict(inputs(1))
    assert [s.threshold for s in prediction.scores] == [None, 0.52]
    assert [s.positive for s in prediction.scores] == [None, True]
    model = model_of(
        constant(0.0, 0.0), output__activation="sigmoid", output__thresholds={"no": 0.5, "yes": 0.6}
    )
    (prediction,) = model.predict(inputs(1))
    assert [s.positive for s in prediction.scores] == [True, False]


def test_a_prediction_knows_its_model(tmp_path: Path) -> None:
    model = load(folder_of(tmp_path / "m"), settings=Settings(device="cpu"))
    (prediction,) = model.predict(inputs(1), override="because")
    assert (prediction.model, prediction.weights, prediction.device) == ("Small", model.sha256, "CPU")
    assert len(prediction.weights) == 64
    assert prediction.override == "because"


def test_an_output_per_pixel_is_shown_as_its_mean() -> None:
    dense = Says(lambda x: torch.cat([x, -x], 1))
    for activation, function in (("softmax", lambda t: t.softmax(1)), ("sigmoid", torch.sigmoid)):
        model = model_of(dense, output__activation=activation)
        (given,) = inputs(1)
        logits = torch.cat([given.tensor, -given.tensor], 1)
        (prediction,) = model.predict([given])
        assert [s.logit for s in prediction.scores] == pytest.approx(
            logits.mean((0, 2, 3)).tolist(), abs=1e-6
        )
        chances = function(logits).mean((0, 2, 3)).tolist()
        assert [s.probability for s in prediction.scores] == pytest.approx(chances, abs=1e-6)


def test_an_output_per_voxel(tmp_path: Path) -> None:
    model = model_of(
        Says(lambda x: torch.cat([x, 2 * x], 1)),
        input__dimensions=3,
        input__size=[4, 4, 4],
        output__activation="none",
    )
    (given,) = inputs(1, (4, 4, 4))
    mean = float(given.tensor.mean())
    (prediction,) = model.predict([given])
    assert [s.logit for s in prediction.scores] == pytest.approx([mean, 2 * mean], abs=1e-6)


def test_half_precision_outputs_are_read_in_full() -> None:
    model = model_of(Says(lambda x: torch.tensor([[6.0, 0.0]], dtype=torch.float16).expand(len(x), -1)))
    ((high, _),) = scores(model)
    assert high == (6, pytest.approx(1 / (1 + np.exp(-6)), abs=1e-6))


def test_networks_do_not_learn_while_they_predict() -> None:
    net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Dropout(0.5), nn.Linear(64, 2))
    model = model_of(net)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    assert scores(model, 3) == scores(model, 3)
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert not any(p.grad is not None for p in net.parameters())


# --- what the network gives -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("say", "select"),
    [
        (lambda x: {"aux": x, "out": x.flatten(1)[:, :2]}, "out"),
        (lambda x: (x, x.flatten(1)[:, :2]), 1),
        (lambda x: [x.flatten(1)[:, :2], x], 0),
        (lambda x: (x, x.flatten(1)[:, :2]), -1),
    ],
)
def test_the_logits_are_selected(say: Callable[[Tensor], Any], select: str | int) -> None:
    (given,) = inputs(1)
    model = model_of(Says(say), output__select=select)
    (prediction,) = model.predict([given])
    assert [s.logit for s in prediction.scores] == given.tensor.flatten()[:2].tolist()


@pytest.mark.parametrize(
    ("say", "select", "words"),
    [
        (lambda x: (x, x), None, "gives several outputs; name the one with the logits in output.select"),
        (lambda x: {"out": x}, None, "gives several outputs"),
        (lambda x: None, None, "gives no tensor"),
        (
            lambda x: (x, (x, x)),
            1,
            "entry 1 of the network's output (output.select) is a tuple and no tensor",
        ),
        (lambda x: {"main": (x, x), "aux": x}, None, "in output.select (it has 'main', 'aux')."),
        (lambda x: [{"boxes": x, "scores": x}], None, "detectors are not supported yet; wrap it"),
        (lambda x: [{"boxes": x, "scores": x}], 0, "detectors are not supported yet; wrap it"),
        (lambda x: {"logits": x[0], "pred_boxes": x}, None, "detectors are not supported yet; wrap it"),
        (lambda x: ({"loss": 0}, [{"boxes": x}]), 1, "detectors are not supported yet; wrap it"),
        (lambda x: {"out": x}, "logits", "output has no entry 'logits' (output.select)"),
        (lambda x: (x, x), 2, "output has no entry 2 (output.select)"),
        (lambda x: (x, x), "out", "output has no entry 'out' (output.select)"),
        (lambda x: x.sum(), None, "one number for a whole batch"),
        (lambda x: x.flatten(1), None, "names 2 labels and the network gives 64 outputs"),
        (lambda x: x.flatten(1)[:, 0], None, "names 2 labels and the network gives 1 outputs"),
        (lambda x: torch.full((len(x), 2), torch.nan), None, "gives NaN or infinity for this input"),
        (lambda x: torch.full((len(x), 2), -torch.inf), None, "gives NaN or infinity for this input"),
        (lambda x: x @ torch.ones(3, 3), None, "does not take inputs of 1 × 8 × 8: "),
        (lambda x: x[:, 5], None, "does not take inputs of 1 × 8 × 8: "),
        (lambda x: dict[str, Tensor]()["weights"], None, "does not take inputs of 1 × 8 × 8: "),
        (lambda x: None + x, None, "does not take inputs of 1 × 8 × 8: "),
        (lambda x: x.shape[7], None, "does not take inputs of 1 × 8 × 8: "),
    ],
)
def test_outputs_that_make_no_sense_are_told_in_a_sentence(
    say: Callable[[Tensor], Any], select: str | int | None, words: str
) -> None:
    with pytest.raises(ModelError) as caught:
        model_of(Says(say), output__select=select).predict(inputs(1))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_assertion_in_the_network_is_told_in_a_sentence() -> None:
    def say(x: Tensor) -> Tensor:
        raise AssertionError("Input height (8) doesn't match model (16).")

    with pytest.raises(ModelError, match=r"1 × 8 × 8: Input height \(8\) doesn't match"):
        model_of(Says(say)).predict(inputs(1))


def test_a_single_output_needs_no_axis_of_its_own() -> None:
    model = model_of(
        Says(lambda x: x.flatten(1).sum(1)), output__labels=["yes"], output__activation="sigmoid"
    )
    given = inputs(3)
    found = [p.scores[0].logit for p in model.predict(given)]
    assert found == pytest.approx([float(i.tensor.sum()) for i in given], abs=1e-5)
    assert model.structure.output == (1,)


def test_the_number_of_labels_is_checked_when_loading(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load(folder_of(tmp_path / "m", output__labels=["a", "b", "c"]))
    assert str(caught.value) == "model.yaml: output.labels names 3 labels and the network gives 2 outputs."


CODE = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 2)

    def forward(self, x):
        y = self.fc(x.flatten(1))
        return {"main": y, "aux": y}
"""


def test_several_outputs_are_told_when_loading(tmp_path: Path) -> None:
    state = {"fc.weight": torch.ones(2, 64), "fc.bias": torch.ones(2)}
    changes: dict[str, Any] = {"architecture": "network.py:Net", "arguments": {}}
    folder = folder_of(tmp_path / "m", state, **changes)
    (folder / "network.py").write_text(CODE, encoding="utf-8")
    with pytest.raises(ModelError, match="several outputs; name the one with the logits"):
        load(folder, trust=True)
    assert load(folder_of(folder, state, **changes, output__select="main"), trust=True).structure.output == (
        2,
    )


# --- what a model accepts -------------------------------------------------------------------------

ACCEPTS = {"modality": ["CR", "DX"], "body_part": ["CHEST"], "view": ["PA", "AP"]}


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"modality": "CR", "body_part": "CHEST", "view": "PA"}, None),
        ({"modality": "dx", "body_part": "Chest", "view": "ap"}, None),
        ({"modality": "DX"}, None),
        ({"modality": "CT"}, "The model Small was made for modality CR or DX, and this is CT."),
        (
            {"modality": "CR", "body_part": "HAND"},
            "The model Small was made for body part CHEST, and this is HAND.",
        ),
        ({"modality": "CR", "view": "LL"}, "The model Small was made for view PA or AP, and this is LL."),
    ],
)
def test_what_a_model_was_made_for(facts: dict[str, str], reason: str | None) -> None:
    source = series(np.zeros((1, 8, 8)), unit="HU", **facts)  # type: ignore[arg-type]
    assert model_of(small(), accepts=ACCEPTS).accepts(source) == reason
    assert model_of(small()).accepts(source) is None


@pytest.mark.parametrize(
    ("accepts", "facts", "why"),
    [
        ({}, {"modality": "MR", "body_part": "BRAIN"}, "the card of Small does not say which studies"),
        (
            ACCEPTS,
            {"modality": "DX", "view": "PA"},
            "made for body part CHEST, and the file states no body part.",
        ),
        (
            ACCEPTS,
            {"modality": "DX", "body_part": "CHEST"},
            "made for view PA or AP, and the file states no view.",
        ),
        (
            ACCEPTS,
            {"modality": "DX"},
            "body part CHEST and view PA or AP, and the file states no body part and no",
        ),
        ({"modality": ["CT"]}, {"modality": ""}, "made for modality CT, and the file states no modality."),
        (
            {"modality": ["DX", "picture"], "body_part": ["CHEST"]},
            {"modality": "picture"},
            "made for body part CHEST, and a picture states no body part.",
        ),
        (ACCEPTS, {"modality": "CR", "body_part": "CHEST", "view": "PA"}, None),
        ({"modality": ["MR"]}, {"modality": "MR"}, None),
        ({"modality": ["picture"]}, {"modality": "picture"}, None),
    ],
)
def test_what_nobody_knows_of_the_intended_use_is_said(
    accepts: dict[str, list[str]], facts: dict[str, str], why: str | None
) -> None:
    source = series(np.zeros((1, 8, 8)), **facts)  # type: ignore[arg-type]
    model = model_of(small(), accepts=accepts)
    assert model.accepts(source) is None
    given = [replace(one, series=source) for one in inputs(1)]
    told = model.predict(given)[0].unknown
    assert told == model.unstated(source)
    assert (told is None) is (why is None)
    assert why is None or (told is not None and why in told and told.endswith("."))
    assert model.predict(given, override="because")[0].unknown is None


def test_an_empty_list_accepts_nothing_that_is_known() -> None:
    model = model_of(small(), accepts={"modality": []})
    assert model.accepts(series(np.zeros((1, 8, 8)), modality="CT")) is not None


@pytest.mark.parametrize(
    ("values", "modality", "unit", "may"),
    [
        ("hu", "CT", "HU", True), ("hu", "CT", "", False), ("hu", "CT", "mOD", False), ("hu", "MR", "", True),
        ({"window": [40, 400]}, "CT", "HU", True), ({"window": [40, 400]}, "CT", "", False),
        ("voi", "CT", "", True),
    ],
)  # fmt: skip
def test_what_wants_hounsfield_units_gets_nothing_else(
    values: object, modality: str, unit: str, may: bool
) -> None:
    source = series(np.zeros((1, 8, 8)), modality=modality)
    source = replace(source, display=replace(source.display, unit=unit))
    model = model_of(small(), accepts={"modality": [modality]}, input={"size": [8, 8], "values": values})
    reason = model.accepts(source)
    assert (reason is None) == may
    assert reason is None or "wants Hounsfield units" in reason


# --- progress, cancel, device ---------------------------------------------------------------------


def test_progress_is_told_per_batch_and_can_be_cancelled() -> None:
    told: list[Progress] = []
    model_of(small()).predict(inputs(7), Task(told.append), batch=3)
    assert [(p.done, p.total, p.doing) for p in told] == [(i, 3, "predicting") for i in range(3)]

    seen: list[Progress] = []

    def report(progress: Progress) -> None:
        seen.append(progress)
        task.cancel()

    task, net = Task(report), small()
    hooks = [len(m._forward_pre_hooks) for m in net.modules()]
    model = model_of(net)
    with pytest.raises(Cancelled):
        model.predict(inputs(7), task, batch=3)
    assert len(seen) == 1
    assert [len(m._forward_pre_hooks) for m in net.modules()] == hooks
    assert len(model.predict(inputs(2))) == 2


def test_two_threads_take_turns() -> None:
    within: list[int] = []
    most: list[int] = []

    def say(x: Tensor) -> Tensor:
        within.append(1)
        most.append(len(within))
        threading.Event().wait(0.002)
        within.pop()
        return x.flatten(1)[:, :2]

    model, given = model_of(Says(say)), inputs(8)
    _ = model.structure
    most.clear()
    results: list[Any] = []
    work = [threading.Thread(target=lambda: results.append(model.predict(given, batch=1))) for _ in range(4)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert len(results) == 4
    assert set(most) == {1}
    assert len(most) == 32


@pytest.mark.parametrize(
    ("there", "asked", "given"),
    [
        ((True, True), "auto", "cuda"),
        ((True, False), "auto", "cuda"),
        ((False, True), "auto", "mps"),
        ((False, False), "auto", "cpu"),
        ((True, True), "cpu", "cpu"),
        ((True, True), "mps", "mps"),
        ((True, False), "cuda", "cuda"),
        ((False, True), "cuda", None),
        ((True, False), "mps", None),
    ],
)
def test_the_choice_of_a_device(
    there: tuple[bool, bool], asked: Any, given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there[0])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: there[1])
    settings = Settings(device=asked)
    if given is None:
        with pytest.raises(ModelError, match=f"This machine has no {asked} device"):
            device(settings)
    else:
        assert device(settings) == torch.device(given)


def test_the_device_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(small())
    assert model.device_name == "CPU"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "Some GPU")
    model.device = torch.device("cuda")
    assert model.device_name == "CUDA (Some GPU)"
    model.device = torch.device("mps")
    assert model.device_name == "MPS"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_says_what_the_cpu_says(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m")
    cpu, gpu = (load(folder, settings=Settings(device=name)) for name in ("cpu", "cuda"))
    for a, b in zip(cpu.predict(inputs(5)), gpu.predict(inputs(5)), strict=True):
        assert [s.logit for s in a.scores] == pytest.approx([s.logit for s in b.scores], abs=1e-3)
        assert b.device.startswith("CUDA (")


def test_too_little_memory_is_told_in_a_sentence() -> None:
    def say(x: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate …")

    with pytest.raises(ModelError, match="too little memory for this; choose a smaller batch or the CPU"):
        model_of(Says(say)).predict(inputs(1))


def test_the_whole_way(tmp_path: Path) -> None:
    model = load(folder_of(tmp_path / "m", input__values="voi", input__fit="pad", input__channels=1))
    voxels = np.random.default_rng(0).integers(0, 256, (5, 20, 30), dtype=np.uint8)
    source = series(voxels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predictions = model.predict([model.prepare(source, i) for i in range(5)])
    assert [p.input.slice for p in predictions] == [0, 1, 2, 3, 4]
    assert all(p.input.series is source for p in predictions)


def test_full_precision_lasts_until_the_last_of_two_models_has_run() -> None:
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    try:
        one, other = ExitStack(), ExitStack()
        one.enter_context(_FULL)
        other.enter_context(_FULL)
        one.close()
        assert not torch.backends.cudnn.allow_tf32
        other.close()
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.backends.cudnn.allow_tf32 = before
