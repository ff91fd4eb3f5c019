# SPDX-License-Identifier: Apache-2.0
"""Trained models: card, loading behind a trust decision, preparation, prediction."""

from viewer.models.card import Card
from viewer.models.draft import Draft, draft
from viewer.models.guard import starved
from viewer.models.load import load
from viewer.models.model import Model

__all__ = ["Card", "Draft", "Model", "draft", "load", "starved"]
