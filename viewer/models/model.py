# SPDX-License-Identifier: Apache-2.0
"""A trained model: its card, its network, and what it says of an input."""

import copy
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from viewer.cache import Memo
from viewer.errors import ModelError, WhyscopeError
from viewer.models.architectures import FAULTS
from viewer.models.card import Card
from viewer.models.dry_run import DryRun, dry_run
from viewer.models.guard import Forward, ModuleSnapshot, guarded, starved
from viewer.models.intended_use import outside, unstated
from viewer.models.prepare import field, prepare
from viewer.models.program import PROGRAM
from viewer.models.select import logits as chosen
from viewer.models.structure import Structure, attention_modules, structure
from viewer.models.tiling import Tiling, blocks, tiling
from viewer.models.trial import Trial, tried
from viewer.task import CHECKING, LAYERS, TRYING, Task
from viewer.types import Field, ModelInput, Prediction, Score, Series, Sweep
from viewer.types.digest import digest

RUNS = 10
"""How often a network that answers at random is run for its scores."""


class Model:
    """A model ready to run. Its network is reached through `guarded` only."""

    def __init__(
        self,
        card: Card,
        module: nn.Module,
        sha256: str,
        device: torch.device,
        code: str | None = None,
        folder: Path | None = None,
    ) -> None:
        self.card = card
        self.sha256 = sha256
        self.code = code
        """SHA-256 of the program beside the weights that made the network, if one did."""
        self.folder = folder
        """Where files that the card names lie; None for a model that was not opened from a folder."""
        self.device = device
        self.remarks: tuple[str, ...] = ()
        """What was decided in opening it, in sentences for the reader."""
        self.untried = False
        """Whether the network is still to be tried before it is first asked; see `try_out`."""
        self.tried = Trial()
        self.memo = Memo()
        """What was found out about the network, such as the layers worth explaining at."""
        # Convolutions read channels side by side faster, on the CPU a tenth to a third of their time.
        self._format = torch.channels_last_3d if card.input.dimensions == 3 else torch.channels_last
        self._module = module.eval().to(device).to(memory_format=self._format)
        tensors = [*module.named_parameters(), *module.named_buffers()]
        self._pristine = {name: t.detach().to("cpu", copy=True) for name, t in tensors}
        self._snapshot = ModuleSnapshot(self._module)
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def digest(self) -> str:
        """What tells the model from all others: weights, program, and card, which alone changes what is said.

        A card is the same however it is written; a default that is written out counts as one left out.
        """
        return self.memo.get("digest", lambda: digest([self.sha256, self.card.model_dump(), self.code]))

    @property
    def labels(self) -> tuple[str, ...]:
        return self.card.output.labels

    @property
    def closed(self) -> bool:
        """Whether the network is a program (TorchScript, `.pt2`), whose layers cannot be listened to."""
        return self.card.architecture == PROGRAM

    @property
    def device_name(self) -> str:
        """The device in words, e.g. "CPU" or "CUDA (NVIDIA A100)"."""
        if self.device.type == "cuda":
            return f"CUDA ({torch.cuda.get_device_name(self.device)})"
        return self.device.type.upper()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(channels, …spatial) of one sample."""
        return (self.card.input.channels, *self.card.input.size)

    @cached_property
    def dry_run(self) -> DryRun:
        """What one forward without an image shows; costs next to nothing for most networks."""
        return self.run_dry(Task())

    @cached_property
    def structure(self) -> Structure:
        """Layers with their layouts, attention and tokens of the network, found once by runs of its own."""
        return self.find_layers(Task())

    def run_dry(self, task: Task) -> DryRun:
        """`dry_run`, which is found, unless it is known, as a part of a task."""
        if "dry_run" not in vars(self):
            task.progress(0, 0, CHECKING)
            with self.guarded(task) as forward:
                hidden = attention_modules(forward.module)
                self.dry_run = dry_run(forward.module, self.input_shape, self._select, hidden)
        return self.dry_run

    def find_layers(self, task: Task) -> Structure:
        """`structure`, which is found, unless it is known, as a part of a task."""
        if "structure" not in vars(self):
            ran = self.run_dry(task)
            task.progress(0, 0, LAYERS)
            with self.guarded(task) as forward:
                facts = self.card.explain.attention
                self.structure = structure(forward.module, ran, self.input_shape, facts)
        return self.structure

    @contextmanager
    def guarded(self, task: Task, thorough: bool = False) -> Iterator[Forward]:
        """The network, for one worker at a time; everything done to it is undone afterwards.

        `thorough` also finds writes to the weights that torch does not count, at the price of reading
        them all: for code of strangers.
        """
        with self._lock:
            # What its owner hooked since, or a call around this one, is part of what is put back.
            snapshot = self._snapshot if self._snapshot.holds() else ModuleSnapshot(self._module)
            with guarded(self._module, snapshot, self._pristine, self._select, task, thorough) as forward:
                yield forward

    def in_double(self) -> "Model":
        """A copy of the model in double precision on the CPU; it knows of its layers what this one does.

        Raises `ModelError` where the network cannot be copied or converted, as a program may not.
        """
        _ = None if self.closed else self.structure  # of tensors in single precision, which the copy refuses
        try:
            with self._lock:
                module = _copied_to_cpu(self._module)
            double = Model(
                self.card, module.double(), self.sha256, torch.device("cpu"), self.code, self.folder
            )
        except FAULTS as error:
            raise ModelError(f"The network cannot be copied in double precision: {error}") from error
        double.memo = self.memo
        double.__dict__ |= {name: there for name, there in vars(self).items() if name == "structure"}
        return double

    def accepts(self, series: Series) -> str | None:
        """None, or why this series lies outside what the model was made for; see `intended_use.outside`."""
        return outside(self.card, series)

    def unstated(self, series: Series) -> str | None:
        """None, or why nobody knows whether it was made for this series; see `intended_use.unstated`."""
        return unstated(self.card, series)

    def prepare(
        self, series: Series, slice: int | None = None, at: Sequence[float] | None = None
    ) -> ModelInput:
        """The input made from a series; see `viewer.models.prepare`."""
        return prepare(series, self.card.input, slice, at)

    def field(self, series: Series, slice: int | None = None, at: Sequence[float] | None = None) -> Field:
        """Where the input made from a series lies, without making it; see `viewer.models.prepare`."""
        return field(series, self.card.input, slice, at)

    def tiling(self, series: Series, sweep: Sweep, slice: int | None = None) -> Tiling:
        """The patches that cover a slice or a volume; see `viewer.models.tiling`."""
        return tiling(series, self.card.input, sweep, slice)

    def blocks(self, series: Series, sweep: Sweep) -> int:
        """How many patches the grid of a sweep has; see `viewer.models.tiling`."""
        return blocks(series, self.card.input, sweep)

    def batch(self, inputs: Sequence[ModelInput]) -> Tensor:
        """The tensors of inputs as one batch on the model's device."""
        # First to the device: a GPU joins inputs and turns their channels far faster than a processor.
        together = torch.cat([i.tensor.to(self.device) for i in inputs])
        return together.contiguous(memory_format=self._format)

    def predict(
        self,
        inputs: Sequence[ModelInput],
        task: Task | None = None,
        batch: int = 16,
        override: str | None = None,
    ) -> tuple[Prediction, ...]:
        """Predictions of inputs, `batch` at a time; cancellable between batches."""
        self.try_out(task)
        result: list[Prediction] = []
        with self.guarded(task or Task()) as forward, torch.no_grad():
            forward.expect(-(-len(inputs) // batch), "predicting")
            for first in range(0, len(inputs), batch):
                some = inputs[first : first + batch]
                x = self.batch(some)
                result += self.said(forward, x, some, self.run(forward, x), override)
        return tuple(result)

    def try_out(self, task: Task | None = None) -> Trial:
        """What a trial on made-up images shows of the network, made once; see `viewer.models.trial`."""
        if self.untried:
            with self.guarded(task or Task()) as forward, torch.no_grad():
                forward.expect(2, TRYING)
                self.tried = tried(lambda x: self.run(forward, x), self.card, self.device)
            self.untried = False
        return self.tried

    def said(
        self,
        forward: Forward,
        x: Tensor,
        inputs: Sequence[ModelInput],
        output: Tensor,
        override: str | None = None,
    ) -> tuple[Prediction, ...]:
        """Predictions from the output of a batch `x`.

        Of a network that answers at random it is run further, and mean and standard deviation are said.
        """
        first = self.predictions(inputs, output, override)
        if not self.tried.varies:
            return first
        with torch.no_grad():
            forward.expect(RUNS - 1, "running again, as the answers vary")
            more = (self.run(forward, x.clone()) for _ in range(RUNS - 1))
            runs = [first, *(self.predictions(inputs, one, override) for one in more)]
        return tuple(_mean(some) for some in zip(*runs, strict=True))

    def run(self, forward: Forward, x: Tensor) -> Tensor:
        """A forward whose faults are told in words."""
        try:
            return forward(x)
        except WhyscopeError:
            raise
        except Exception as error:  # a network may raise anything
            if starved(error):
                raise
            reason = str(error).strip().split("\n")[0][:200] or type(error).__name__
            raise ModelError(
                f"The network does not take inputs of {' × '.join(map(str, self.input_shape))}: "
                f"{reason.rstrip('.')}."
            ) from error

    def predictions(
        self, inputs: Sequence[ModelInput], logits: Tensor, override: str | None = None
    ) -> tuple[Prediction, ...]:
        """What outputs (n, labels[, …spatial]) say of their inputs.

        An output per pixel is shown as the mean logit and the mean probability over all pixels.
        """
        logits = logits.detach().float()
        self._check(logits)
        output, calibration = self.card.output, self.card.calibration
        scaled = logits / calibration.temperature if calibration else logits
        if output.activation == "softmax":
            probabilities = scaled.softmax(1)
        else:
            probabilities = scaled.sigmoid() if output.activation == "sigmoid" else scaled
        device = self.device_name  # asked once: a GPU is slow to say it
        if logits.ndim > 2:
            logits, probabilities = logits.flatten(2).mean(2), probabilities.flatten(2).mean(2)
        return tuple(
            Prediction(
                input=source,
                model=self.name,
                weights=self.sha256,
                device=device,
                scores=tuple(
                    Score(label, logit, probability, calibration is not None, output.thresholds.get(label))
                    for label, logit, probability in zip(self.labels, row, chances, strict=True)
                ),
                override=override,
                unknown=None if override else self.unstated(source.series),
                implausible=self.tried.implausible,
            )
            for source, row, chances in zip(inputs, logits.tolist(), probabilities.tolist(), strict=True)
        )

    def _check(self, logits: Tensor) -> None:
        if logits.ndim < 2 or logits.shape[1] != len(self.labels):
            given = logits.shape[1] if logits.ndim > 1 else 1
            raise ModelError(
                f"The card of {self.name} names {len(self.labels)} labels and the network gives "
                f"{given} outputs; correct output.labels."
            )
        if not bool(torch.isfinite(logits).all()):
            raise ModelError(
                f"The model {self.name} gives NaN or infinity for this input; nothing can be said."
            )

    def _select(self, output: Any) -> Tensor:
        """The logits among what the network returns."""
        return chosen(output, self.card.output.select, len(self.labels))


def _mean(runs: Sequence[Prediction]) -> Prediction:
    """What several runs said of one input: of every label mean and standard deviation."""
    logits = np.array([[score.logit for score in run.scores] for run in runs])
    shares = np.array([[score.probability for score in run.scores] for run in runs])
    ends = zip(logits.mean(0).tolist(), shares.mean(0).tolist(), shares.std(0, ddof=1).tolist(), strict=True)
    scores = tuple(
        replace(score, logit=logit, probability=share, spread=spread)
        for score, (logit, share, spread) in zip(runs[0].scores, ends, strict=True)
    )
    return replace(runs[0], scores=scores, runs=len(runs))


def _copied_to_cpu(module: nn.Module) -> nn.Module:
    """A copy on the CPU whose tensors are copied on the way there: no device holds the network twice."""
    originals = [*module.parameters(), *module.buffers()]  # kept, as their `id` tells them apart
    copies: dict[int, object] = {}
    for tensor in originals:
        there = tensor.detach().to("cpu", copy=True)
        held = isinstance(tensor, nn.Parameter)
        copies[id(tensor)] = nn.Parameter(there, tensor.requires_grad) if held else there
    return copy.deepcopy(module, copies)
