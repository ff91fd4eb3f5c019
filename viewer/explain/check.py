# SPDX-License-Identifier: Apache-2.0
"""Compare a map with that of captum or grad-cam: the same method, rule, steps, layer and input tensor."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from textwrap import shorten
from typing import TypeVar

import numpy as np
import torch

from viewer.errors import WhyscopeError
from viewer.explain.discover import built_in
from viewer.explain.double import AGREES, Pair, as_array, verdict
from viewer.explain.explainer import Explainer
from viewer.explain.peers import Peer, Scored
from viewer.explain.probe import Probe
from viewer.explain.values import Values
from viewer.models import Model
from viewer.task import Task
from viewer.types import Array, Asked, Attribution, ModelInput, PeerCheck, Region

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, eq=False)
class Refused:
    """A method that gave no map of an input, and why: the library may give one all the same."""

    explainer: Explainer
    input: ModelInput
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """What a library is to do again; `ours` is None where our method refused."""

    explainer: Explainer
    input: ModelInput
    wish: Asked
    ours: Array | None = None
    found: Mapping[str, int] = field(default_factory=dict)
    within: Region | None = None
    regions: tuple[Region, ...] = ()
    refusal: str = ""


def check_with_library(
    model: Model,
    attributions: Sequence[Attribution],
    task: Task | None = None,
    refused: Sequence[Refused] = (),
) -> tuple[PeerCheck, ...]:
    """Each map beside the same method of captum and of grad-cam, as far as they have it.

    What a library does to the network is undone, also where it fails, which is told as a `reason` and never
    raised. Of a method that refused it is told what the library says, for the input's highest label.
    """
    task, double = task or Task(), cache(model.in_double)
    checks: list[PeerCheck] = []
    for one in attributions:
        assert isinstance(one.explainer, Explainer)  # nothing else makes a map of an input
        label = None if one.target is None else one.target.words
        about = PeerCheck(one.explainer.name, one.explainer.title, label, one.slice, one.layer)
        about = replace(about, largest=float(np.abs(one.values).max()))
        if len(one.predictions) > 1:
            reason = "This map is put together from those of many patches; check one patch of them."
            checks.append(replace(about, reason=reason))
            continue
        checks += _Check(model, _asked(one), task, double).every(about)
    for gone in refused:
        method = gone.explainer
        about = PeerCheck(method.name, method.title, None, gone.input.slice, getattr(method, "layer", None))
        asked = _Asked(method, gone.input, "top", refusal=gone.reason)
        checks += _Check(model, asked, task, double).every(about)
    return tuple(checks)


def in_double(model: Model, attribution: Attribution, number: int = 0, task: Task | None = None) -> Pair:
    """A map and that of the `number`th library that has the method, both computed in double precision.

    Raises what a network raises that does not take it, and `IndexError` where there is no such library.
    """
    asked = _asked(attribution)
    return _Check(model, asked, task or Task(), model.in_double).in_double(number, attribution.values.shape)


def _asked(one: Attribution) -> _Asked:
    assert isinstance(one.explainer, Explainer)  # nothing else makes a map of an input
    return _Asked(
        one.explainer, one.predictions[0].input, one.target or "top", one.values, one.found, one.within,
        one.regions,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Check:
    """One map and the libraries that should give it."""

    model: Model
    asked: _Asked
    task: Task
    double: Callable[[], Model]
    """Gives the copy of the network in double precision, which all maps that are checked together share."""

    def every(self, about: PeerCheck) -> list[PeerCheck]:
        """A check for each peer of the method; of a method that refused none where there is no peer."""
        asked, method = self.asked, self.asked.explainer
        with self.model.guarded(self.task, thorough=True) as forward, torch.enable_grad():
            try:
                layers = () if asked.ours is None else method.layers(self.model)
                probe = Probe(
                    self.model, forward, [asked.input], [asked.wish], self.task, layers,
                    within=asked.within, regions=asked.regions,
                )  # fmt: skip
                net = Scored(forward.module, probe)
                peers = method.peers(probe, asked.found)
            except Exception as error:  # noqa: BLE001 - a check that fails must not take the map with it
                return [] if asked.ours is None else [replace(about, reason=_told(method.title, error))]
            if asked.ours is None:
                about = replace(about, label=probe.targets[0][0].words)
                return [self._refused(about, peer, net) for peer in peers if peer.run is not None]
            forward.expect(1, "running the library")
            each = [self._one(about, peer, net) for peer in peers]
        # Outside of the guard, whose counter cannot be copied with the network.
        checks = [self._again(one, n, single) for n, (one, single) in enumerate(each)]
        return checks or [self._alone(about)]

    def _one(self, about: PeerCheck, peer: Peer, net: Scored) -> tuple[PeerCheck, Pair | None]:
        """A peer's check, and both maps where they are not one."""
        assert self.asked.ours is not None
        about = replace(about, library=peer.library, version=_version(peer.library), call=peer.call)
        if peer.run is None:
            return replace(about, reason=peer.reason), None
        try:
            theirs = self._guarded(peer.run, net)
            pair = Pair(self.asked.ours, as_array(theirs, self.asked.ours.shape), peer.either_sign)
            difference = pair.difference
            fault = "" if difference <= AGREES else self._guarded(lambda net: peer.fault(net, theirs), net)
        except Exception as error:  # noqa: BLE001 - a library may fail in any way
            return replace(about, reason=_told(peer.library, error)), None
        about = replace(about, difference=difference, fault=fault)
        return about, None if difference <= AGREES else pair

    def _again(self, about: PeerCheck, number: int, single: Pair | None) -> PeerCheck:
        """The check with what both sides give in double precision, as the `number`th peer of the method."""
        if single is None:
            return about
        try:
            found = verdict(single, self.in_double(number, single.ours.shape))
        except Exception as error:  # noqa: BLE001 - a network or a library may not take double precision
            reason = _told(about.library, error)
            return replace(about, remark=f"It could not be repeated in double precision: {reason}")
        fault = "" if found.rounding else about.fault
        return replace(about, double=found.double, rounding=found.rounding, remark=found.remark, fault=fault)

    def in_double(self, number: int, shape: tuple[int, ...]) -> Pair:
        """Both maps by a copy of the network in double precision, on the CPU."""
        asked, method, model = self.asked, self.asked.explainer, self.double()
        x = model.batch([asked.input]).double()
        with model.guarded(self.task, thorough=True) as forward, torch.enable_grad():
            probe = Probe(
                model, forward, [asked.input], [asked.wish], self.task, method.layers(model),
                attention=method.attention, within=asked.within, x=x, regions=asked.regions,
            )  # fmt: skip
            values = method.compute(probe)
            values = values if isinstance(values, Values) else Values(values)
            found = {name: int(some[0, 0]) for name, some in values.found.items()}
            peer = method.peers(probe, found)[number]
            assert peer.run is not None  # it ran in single precision
            forward.expect(1, "running the library in double precision")
            theirs = replace(self, model=model)._guarded(peer.run, Scored(forward.module, probe))
        return Pair(as_array(values.values[0, 0], shape), as_array(theirs, shape), peer.either_sign)

    def _refused(self, about: PeerCheck, peer: Peer, net: Scored) -> PeerCheck:
        assert peer.run is not None
        about = replace(about, library=peer.library, version=_version(peer.library), call=peer.call)
        about = replace(about, reason=self.asked.refusal)
        try:
            theirs = self._guarded(peer.run, net)
        except Exception as error:  # noqa: BLE001 - a library may fail in any way
            return replace(about, fault=f"It gives no map either: {_told(peer.library, error)}")
        blank = "all the same" if bool(theirs.any()) else "that is zero everywhere"
        return replace(about, fault=f"{peer.library} gives a map {blank}, without a word.")

    def _alone(self, about: PeerCheck) -> PeerCheck:
        title = about.title
        if self.asked.explainer.library:
            return replace(about, reason=f"{title} is computed by {self.asked.explainer.library} itself.")
        if built_in(type(self.asked.explainer)):
            return replace(about, reason=f"Neither captum nor grad-cam has {title}.")
        return replace(about, reason=f"{title} names no method of captum or grad-cam to compare with.")

    def _guarded(self, work: Callable[[Scored], _T], net: Scored) -> _T:
        """Do a library's work under a guard of its own, so that the next finds the network whole."""
        with self.model.guarded(self.task, thorough=True), warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")  # captum announces its own hooks
            return work(net)


def _told(who: str, error: Exception) -> str:
    """What went wrong, in words."""
    if isinstance(error, WhyscopeError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        return f"{who} cannot be run, as {error.name} is not installed."
    reason = shorten(str(error), 200, placeholder=" …").rstrip(".") or "no reason was given"
    return f"{who} failed with {type(error).__name__}: {reason}."


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "(not installed)"
