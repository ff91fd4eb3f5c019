"""Explainers: the contract that a plugin author works with, discovery, and running them."""

from annotated_types import Interval

from viewer.errors import ExplainerError
from viewer.explain.attention import no_attention
from viewer.explain.baseline import Baseline, Made, baseline, baselines, over_baselines
from viewer.explain.blocks import Block, over_patches, reading, streams, walk
from viewer.explain.cam import CAM, linear_tail, no_layer, refuse_blank, weighted
from viewer.explain.describe import describe, setting_types
from viewer.explain.discover import discover, explainer
from viewer.explain.explainer import Batch, Cost, Explainer, Family, Seed, at_layers, model_layer
from viewer.explain.features import Features, OverFeatures, Parts, features
from viewer.explain.forward_cache import ForwardCache
from viewer.explain.gradient import Gradient, completeness_error
from viewer.explain.layers import CLOSED, stages, suggest
from viewer.explain.noise import Noisy, variance
from viewer.explain.probe import Probe, Wish
from viewer.explain.regions import read_region, read_regions
from viewer.explain.requests import answer, file_contents, place, refuse_others, request
from viewer.explain.run import Assignment, Explained, explain
from viewer.explain.shared import INPUT
from viewer.explain.sweep import sweep
from viewer.explain.targets import read_targets
from viewer.explain.values import Part, Values
from viewer.models import Model

__all__ = [
    "CAM",
    "CLOSED",
    "INPUT",
    "Assignment",
    "Baseline",
    "Batch",
    "Block",
    "Cost",
    "Explained",
    "Explainer",
    "ExplainerError",
    "Family",
    "Features",
    "ForwardCache",
    "Gradient",
    "Interval",
    "Made",
    "Model",
    "Noisy",
    "OverFeatures",
    "Part",
    "Parts",
    "Probe",
    "Seed",
    "Values",
    "Wish",
    "answer",
    "at_layers",
    "baseline",
    "baselines",
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
    "over_baselines",
    "over_patches",
    "place",
    "read_region",
    "read_regions",
    "read_targets",
    "reading",
    "refuse_blank",
    "refuse_others",
    "request",
    "setting_types",
    "stages",
    "streams",
    "suggest",
    "sweep",
    "variance",
    "walk",
    "weighted",
]
