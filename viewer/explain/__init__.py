# SPDX-License-Identifier: Apache-2.0
"""Explainers: the contract that a plugin author works with, discovery, and running them."""

from annotated_types import Interval

from viewer.errors import ExplainerError
from viewer.explain.attention import no_attention
from viewer.explain.baseline import Baseline, Made, baseline, baselines, over_baselines
from viewer.explain.blocks import Block, over_patches, reading, streams, walk
from viewer.explain.calls import Call, Calls, calls
from viewer.explain.cam import CAM, linear_tail, no_layer, refuse_blank, weighted
from viewer.explain.check import Refused, check_with_library
from viewer.explain.describe import describe, setting_types
from viewer.explain.discover import discover, explainer
from viewer.explain.explainer import Batch, Cost, Explainer, Family, Seed, at_layers, model_layer
from viewer.explain.features import PARTS_TIP, Features, OverFeatures, Parts, features
from viewer.explain.forward_cache import ForwardCache
from viewer.explain.gradient import Gradient, completeness_error
from viewer.explain.layers import CLOSED, stages, suggest
from viewer.explain.library import AT_ONCE, Lent, numpy_seeded, own_tensors, tapped, without_captums_word
from viewer.explain.library_layer import LibraryCAM, LibraryPath
from viewer.explain.noise import Noisy, variance
from viewer.explain.peers import (
    Peer,
    Scored,
    any_channel,
    captum_grad_cam,
    of_captum,
    of_grad_cam,
    unseen,
)
from viewer.explain.probe import Probe
from viewer.explain.regions import read_region, read_regions
from viewer.explain.requests import answer, file_contents, place, refuse_others, request, searched
from viewer.explain.run import Assignment, Explained, explain
from viewer.explain.shared import INPUT
from viewer.explain.sweep import sweep
from viewer.explain.targets import read_targets
from viewer.explain.values import ScoredChunk, Values
from viewer.models import Model
from viewer.types import Resolution, Tip

__all__ = [
    "AT_ONCE",
    "CAM",
    "CLOSED",
    "INPUT",
    "PARTS_TIP",
    "Assignment",
    "Baseline",
    "Batch",
    "Block",
    "Call",
    "Calls",
    "Cost",
    "Explained",
    "Explainer",
    "ExplainerError",
    "Family",
    "Features",
    "ForwardCache",
    "Gradient",
    "Interval",
    "Lent",
    "LibraryCAM",
    "LibraryPath",
    "Made",
    "Model",
    "Noisy",
    "OverFeatures",
    "Parts",
    "Peer",
    "Probe",
    "Refused",
    "Resolution",
    "Scored",
    "ScoredChunk",
    "Seed",
    "Tip",
    "Values",
    "answer",
    "any_channel",
    "at_layers",
    "baseline",
    "baselines",
    "calls",
    "captum_grad_cam",
    "check_with_library",
    "completeness_error",
    "describe",
    "discover",
    "explain",
    "explainer",
    "features",
    "file_contents",
    "linear_tail",
    "model_layer",
    "no_attention",
    "no_layer",
    "numpy_seeded",
    "of_captum",
    "of_grad_cam",
    "over_baselines",
    "over_patches",
    "own_tensors",
    "place",
    "read_region",
    "read_regions",
    "read_targets",
    "reading",
    "refuse_blank",
    "refuse_others",
    "request",
    "searched",
    "setting_types",
    "stages",
    "streams",
    "suggest",
    "sweep",
    "tapped",
    "unseen",
    "variance",
    "walk",
    "weighted",
    "without_captums_word",
]
