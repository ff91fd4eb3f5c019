# SPDX-License-Identifier: Apache-2.0
"""What an explainer may ask of a guarded network: a shared forward, further ones, and gradients.

The prediction that is shown comes from the same forward that feeds the explanations.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cached_property

import torch
from torch import Tensor, nn

from viewer.errors import ExplainerError
from viewer.explain.attention import listening
from viewer.explain.biases import Shares, shares, weighed
from viewer.explain.blocks import Block, blocks_of, each_on_its_own, gradients_at_weights, streams
from viewer.explain.chunks import Chunks
from viewer.explain.forward_cache import ForwardCache
from viewer.explain.shared import INPUT, Shared
from viewer.explain.shared import gradients as gradients_at
from viewer.explain.tail import Replaced, splits
from viewer.explain.target_scores import regional, rows_of, score_of, scores_of, totals_of
from viewer.explain.values import Placing, ScoredChunk, Values
from viewer.models import Model
from viewer.models.guard import Forward
from viewer.models.maps import Layer
from viewer.models.watch import watching
from viewer.task import Task
from viewer.types import Asked, Attribution, ModelInput, Prediction, Region, Target, distinct

Make = Callable[[int, int, int], Tensor]
_BEHIND = (32, 256)
"""How many samples run at once, on a CPU and on a GPU, where only what lies behind a layer sees them."""


class Probe:
    """One batch of inputs before a guarded network.

    `x` is (n, channels, …spatial) on the model's device. `targets` is a row of n targets per wish.
    """

    def __init__(
        self,
        model: Model,
        forward: Forward,
        inputs: Sequence[ModelInput],
        wishes: Sequence[Asked],
        task: Task,
        layers: Sequence[str] = (),
        attention: bool = False,
        override: str | None = None,
        within: Region | None = None,
        preview: Callable[[Attribution], None] | None = None,
        kept: ForwardCache | None = None,
        x: Tensor | None = None,
        regions: Sequence[Region] = (),
        shared: Shared | None = None,
    ) -> None:
        self.model = model
        self.inputs = tuple(inputs)
        self.x = model.batch(inputs) if x is None else x
        self.original = self.x
        """The pixels of the inputs themselves, also where this probe was `moved`."""
        self.task = task
        self.regions = tuple(regions)
        """What may be taken as features; see `segments`."""
        self._within = within
        self._masks: dict[int, Tensor] = {}
        self._asked: set[int] = set()
        self._preview = preview
        self._forward = forward
        self._wishes = tuple(wishes)
        self._override = override
        self._shared = shared or Shared(model, forward, self.x, task, layers, attention, kept)
        self._gradients: dict[str, Tensor] = {}

    # --- the shared forward -----------------------------------------------------------------------

    @property
    def output(self) -> Tensor:
        """The logits (n, labels[, …spatial]) of the shared forward, without their graph."""
        return self._shared.output

    @cached_property
    def predictions(self) -> tuple[Prediction, ...]:
        """What the model says of each input, from the shared forward."""
        return self.model.said(self._forward, self.x, self.inputs, self.output, self._override)

    @cached_property
    def targets(self) -> tuple[tuple[Target, ...], ...]:
        """For each wish a target per input; "top" is each input's own highest label."""
        labels = self.model.labels
        plain = self.model.card.output.activation == "none"
        return tuple(
            tuple(
                Target(p.top.label, labels.index(p.top.label), plain=plain) if wish == "top" else wish
                for p in self.predictions
            )
            for wish in self._wishes
        )

    def asking(
        self, wishes: Sequence[Asked], within: Region | None = None, regions: Sequence[Region] = ()
    ) -> "Probe":
        """A probe of the same forward that asks for other targets, limits or features."""
        other = Probe(
            self.model, self._forward, self.inputs, wishes, self.task, override=self._override, within=within,
            preview=self._preview, x=self.x, regions=regions, shared=self._shared,
        )  # fmt: skip
        other.__dict__["predictions"] = self.predictions
        return other

    def moved(self, x: Tensor, layers: Sequence[str] = (INPUT,)) -> "Probe":
        """A probe of the same inputs, targets and network whose pixels are `x`, of the shape of `self.x`.

        For methods that average others over noise or baselines. Its first use costs a forward of its own.
        """
        other = Probe(
            self.model, self._forward, self.inputs, self._wishes, self.task, layers,
            within=self._within, x=x, regions=self.regions,
        )  # fmt: skip
        other.original = self.original
        other._asked = self._asked
        other.__dict__["targets"] = self.targets  # the noise must not change what is explained
        return other

    def part(self, n: int, rows: Sequence[int]) -> "Probe":
        """A probe of input `n` alone and of these of its targets, for what is not needed of the others."""
        other = Probe(
            self.model, self._forward, self.inputs[n : n + 1], [self._wishes[row] for row in rows], self.task,
            within=self._within, x=self.x[n : n + 1], regions=self.regions,
        )  # fmt: skip
        other.original = self.original[n : n + 1]
        other.__dict__["targets"] = tuple((self.targets[row][n],) for row in rows)
        return other

    def within(self, n: int) -> Tensor | None:
        """Where input `n` may be changed, a boolean mask of its spatial shape; None means everywhere.

        Raises `ExplainerError` where the region that the reader gave lies outside of the input.
        """
        if self._within is None:
            return None
        self._asked.add(n)
        if n in self._masks:
            return self._masks[n]
        source = self.inputs[n]
        mask = self._within.on(source.matrix, source.shape).reshape(self.x.shape[2:])
        if not mask.any():
            raise ExplainerError(f"The region {self._within.name} lies outside what the model was shown.")
        self._masks[n] = torch.as_tensor(mask, device=self.x.device)
        return self._masks[n]

    def segments(self, n: int) -> Iterator[tuple[str, Tensor]]:
        """The name and the place of every region that may be a feature on input `n`, empty where it lies
        elsewhere: boolean masks of its spatial shape, which may overlap. No two have the same name."""
        source = self.inputs[n]
        for name, region in zip(distinct(r.name for r in self.regions), self.regions, strict=True):
            self.task.check()
            mask = region.on(source.matrix, source.shape).reshape(self.x.shape[2:])
            yield name, torch.as_tensor(mask, device=self.x.device)

    @property
    def limit(self) -> Region | None:
        """The region within which the method that runs changes the image; None where it has not asked."""
        return self._within if self._asked else None

    def unlimited(self) -> None:
        """Begin another method, which has not asked for the region yet."""
        self._asked.clear()

    def limited(self, values: Tensor) -> Tensor:
        """Values (targets, n, …spatial) with zero where the image may not be changed."""
        if self._within is None:
            return values
        masks = [mask for n in range(len(self.inputs)) if (mask := self.within(n)) is not None]
        return values * torch.stack(masks)

    def preview(self, explainer: Placing, values: Values) -> None:
        """Hand on what a method has so far, in the form that `compute` returns, if anybody looks."""
        if self._preview is not None:
            for attribution in explainer.placed(self, values):
                self._preview(attribution)

    # --- scores -----------------------------------------------------------------------------------

    def sweep(
        self, count: int, make: Make, doing: str, chunk: int = 0, gradients: bool = False
    ) -> Iterator[ScoredChunk]:
        """Run `count` changed images of every input, some at a time; all targets share each forward.

        `make(n, first, last)` gives those of input `n`, (last − first, channels, …spatial). `chunk` is how
        many run at once, 0 what is fastest here (see `Chunks`); it is halved where memory runs out. Nothing
        is kept, so that memory does not grow with `count`.
        """
        chunks = Chunks(self.model, self.x, gradients, count, chunk)
        self.expect(chunks.calls(count) * len(self.inputs), doing)
        for n in range(len(self.inputs)):
            first = 0
            while first < count:
                last = min(first + chunks.size, count)
                later = len(self.inputs) - n - 1
                self._forward.remaining(chunks.calls(count - first) + chunks.calls(count) * later)
                try:
                    with chunks.timed(last - first):
                        part = self._scored(n, first, make(n, first, last), gradients)
                except RuntimeError as error:
                    if not chunks.halve(error):
                        raise
                    continue
                yield part
                first = last

    def scores(self, count: int, make: Make, doing: str, chunk: int = 0) -> Tensor:
        """Every target's score of `count` changed images of every input, (targets, n, count); see `sweep`."""
        result = self.x.new_empty(len(self.targets), len(self.inputs), count)
        for part in self.sweep(count, make, doing, chunk):
            result[:, part.n, part.first : part.first + part.scores.shape[1]] = part.scores
        return result

    def resumed(
        self, layer: str, count: int, change: Callable[[Tensor, int, int], Tensor], doing: str, chunk: int = 0
    ) -> Tensor:
        """Every target's score, (targets, n, count), with `count` changes of what a layer gave.

        `change(own, first, last)` gets it for one input, (1, …) as the network lays it out, and gives
        (last − first, …). What lies below the layer runs once for each chunk where the network allows it.
        """
        module = self._forward.module.get_submodule(layer)
        self.expect(2, "trying the layer")
        once = splits(self.model, layer, module, self.x[:1], self.forward)
        first, last = 0, 0

        def make(n: int, *part: int) -> Tensor:
            nonlocal first, last
            first, last = part
            own = self.x[n : n + 1]
            return own if once else own.expand(last - first, *own.shape[1:])

        # What the whole network takes at once says little of what lies behind a layer.
        size = chunk or (_BEHIND[self.x.device.type == "cuda"] if once else 0)
        with Replaced(module, lambda own: change(own, first, last)):
            return self.scores(count, make, doing, size)

    def _scored(self, n: int, first: int, x: Tensor, gradients: bool) -> ScoredChunk:
        rows = [row[n] for row in self.targets]
        with torch.set_grad_enabled(gradients):
            x = x.detach().requires_grad_(gradients)
            output = self.forward(x)
            scores = torch.stack([self.score(output, target, n) for target in rows])
            found = gradients_at(scores.sum(1), x, INPUT, self.task, again=False) if gradients else None
        return ScoredChunk(n, first, scores.detach().to(self.x.dtype), found)

    def forward(self, x: Tensor) -> Tensor:
        """A further forward: logits of (m, channels, …spatial), counted and cancellable."""
        return self.model.run(self._forward, x.clone())

    def summed_up(self, calls: int, doing: str) -> AbstractContextManager[None]:
        """Within it, forwards of `moved` probes count as steps of this method and announce nothing."""
        return self._forward.summed_up(calls, doing)

    def unfused(self) -> AbstractContextManager[object]:
        """Within it, attention is done step by step: as products and a softmax that a mode can see."""
        return listening(self._forward.module, 1)

    @property
    def module(self) -> nn.Module:
        """The network itself, for a library that hooks it; the guard puts back whatever is done to it."""
        return self._forward.module

    def expect(self, calls: int, doing: str) -> None:
        """Announce how many further forwards are coming, for the progress bar."""
        self._forward.expect(calls, doing)

    def score(self, output: Tensor, target: Target, n: int = 0) -> Tensor:
        """The target's number for every sample of an output; `n` is the input they were made from."""
        return score_of(output, target, self.inputs[n])

    @cached_property
    def before(self) -> Tensor:
        """Every target's score of the inputs themselves, (targets, n), from the shared forward."""
        return scores_of(self.output, self.targets, self.inputs).to(self.x.dtype)

    def shares(self) -> Shares:
        """What input and biases add to each target's score, by a forward of its own."""
        self.expect(1, "following every bias")
        x = self.x.clone().requires_grad_()
        with torch.enable_grad(), weighed(self._forward.module) as weights:
            scores = scores_of(self.forward(x), self.targets, self.inputs)
        return shares(scores, x, weights, self.task)

    @cached_property
    def _totals(self) -> Tensor:
        """The sum over the batch of each target's number, (targets,): samples do not mix in eval mode."""
        return totals_of(self._shared.graph, self.targets, self.inputs)

    # --- layers -----------------------------------------------------------------------------------

    def layer(self, name: str) -> Layer:
        """The facts of a layer."""
        return self._shared.layer(name)

    def as_map(self, own: Tensor, layer: str) -> Tensor:
        """What a layer gave, (m, …) as the network lays it out, as (m, channels, …grid); not a copy."""
        return self._shared.as_map(own, layer)

    def activations(self, layer: str) -> Tensor:
        """A layer's output as (n, channels, …grid), detached."""
        return self._shared.activations(layer)

    def gradients(self, layer: str = INPUT) -> Tensor:
        """The gradient of every target at a layer, (targets, n, channels, …grid), in one backward.

        Raises `ExplainerError` where the layer does not influence the output at all.
        """
        if layer not in self._gradients:
            every = None if regional(self.targets) else self._shared.of_labels(layer)
            if every is None:
                self._gradients[layer] = self._shared.gradients(self._totals, layer)
            else:
                self._gradients[layer] = rows_of(every, self.targets)
        return self._gradients[layer]

    def known_gradients(self) -> str | None:
        """A layer whose gradients have been asked for; the input rather than another."""
        return min(self._gradients, key=lambda layer: layer != INPUT, default=None)

    # --- attention --------------------------------------------------------------------------------

    @cached_property
    def attention(self) -> tuple[Block, ...]:
        """The attention of every block in order, its weights detached; `ExplainerError` where no map of it
        can be made."""
        return blocks_of(self._shared.heads, self.model.structure)

    def attention_gradients(self) -> Iterator[list[Tensor]]:
        """The gradients at every block's weights, (some targets, *weights.shape): all targets in order, as
        many at a time as memory should hold."""
        _ = self.attention
        yield from gradients_at_weights(self._totals, self._shared.heads, self.task)

    def formed(self) -> Iterator[list[tuple[Block, Tensor]]]:
        """Every block with the gradient, at its weights, of each target's score of the tokens that the block
        gives, (some targets, *weights.shape): what would be said if the network ended there.

        One further forward, in which all blocks' tokens are classified together.
        """
        names = streams(self.model.structure)
        if names is None:
            raise ExplainerError("This network's blocks do not give tokens that its classifier could read.")
        n, module = len(self.inputs), self._forward.module
        self.expect(1, "classifying every block's tokens")
        with listening(module, n, self.model.structure.attention) as heads, each_on_its_own(module, names):
            output = self.forward(self.x)
        blocks = blocks_of(heads, self.model.structure)
        # No block knows of another's tokens, so that the gradient of the sum is that of each.
        each = [totals_of(output[i * n :][:n], self.targets, self.inputs) for i in range(len(names))]
        for some in gradients_at_weights(torch.stack(each).sum(0), heads, self.task):
            yield list(zip(blocks, some, strict=True))

    def gates(self) -> list[tuple[str, Tensor]]:
        """(module, gate (n, 1, …grid)) where a map is multiplied by one number a cell: a further forward."""
        self.expect(1, "reading the gates")
        with torch.no_grad(), watching(self._forward.module) as watch:
            self.forward(self.x)
        return [(name, gate.float()) for name, gate in self.model.structure.spatial_gates(watch)]
