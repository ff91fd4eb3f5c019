# SPDX-License-Identifier: Apache-2.0
"""Model folders of other programs that open without a card: their files are read as data, one format a file.

Each gives the fields of a card; what a folder does not say is `TO FILL` there.
"""

from pathlib import Path
from typing import Any

from viewer.errors import ModelError
from viewer.models.folders import timm, transformers

CONFIG = "config.json"


def fields(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """A card's fields from a `config.json` at `path`; raises `ModelError`."""
    if transformers.wrote(config):
        return transformers.fields(config, path)
    if timm.wrote(config):
        return timm.fields(config, path)
    raise ModelError(
        f"{path.name} names no network of timm or transformers; write a model.yaml for this model, which "
        "`whyscope card` drafts from the weights."
    )
