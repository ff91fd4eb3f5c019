# SPDX-License-Identifier: Apache-2.0
"""The settings of a `config.json`, each checked where it is asked for."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn

from viewer.errors import ModelError

_MOST = 2**16  # of widths, labels and windows: far above any network that anybody has
_MOST_LAYERS = 512
_MOST_PIXELS = 4096


class Config:
    """Settings by name; a setting that is absent has the default of `transformers`."""

    def __init__(self, kind: str, values: Mapping[str, Any]) -> None:
        self.kind = kind
        """The `model_type`."""
        self._values = values

    def whole(self, name: str, default: int) -> int:
        """A positive whole number."""
        value = self._values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _MOST:
            raise ModelError(f"The setting {name} of the network is no whole number from 1 to {_MOST}.")
        return value

    def wholes(self, name: str, default: list[int]) -> list[int]:
        """Several positive whole numbers."""
        value = self._values.get(name, default)
        if not isinstance(value, list) or not 0 < len(value) <= 64:
            raise ModelError(f"The setting {name} of the network is no list of whole numbers.")
        return [Config(self.kind, {name: one}).whole(name, 1) for one in value]

    def number(self, name: str, default: float) -> float:
        """A finite number."""
        value = self._values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e6:
            raise ModelError(f"The setting {name} of the network is no number.")
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._values.get(name, default)
        if not isinstance(value, bool):
            raise ModelError(f"The setting {name} of the network is neither true nor false.")
        return value

    def text(self, name: str, default: str) -> str:
        """A word."""
        value = self._values.get(name, default)
        if not isinstance(value, str):
            raise ModelError(f"The setting {name} of the network is no text.")
        return value

    def sides(self, name: str, default: int) -> tuple[int, int]:
        """Rows and columns, which one number may stand for."""
        value = self._values.get(name, default)
        both = self.wholes(name, []) if isinstance(value, list) else [self.whole(name, default)] * 2
        if len(both) != 2:
            raise ModelError(f"The setting {name} of the network wants one or two whole numbers.")
        self._below(max(both), name, _MOST_PIXELS)
        return both[0], both[1]

    def layers(self, name: str, default: int) -> int:
        """A number of layers; each takes time to make, even without weights."""
        return self._below(self.whole(name, default), name, _MOST_LAYERS)

    def stages(self, name: str, default: list[int]) -> list[int]:
        """The number of layers in each stage."""
        found = self.wholes(name, default)
        self._below(sum(found), name, _MOST_LAYERS)
        return found

    def input_size(self, default: int) -> tuple[int, int]:
        """Rows and columns of the images that the network is asked about, and not of those it began with."""
        name = "input_size" if "input_size" in self._values else "image_size"
        return self.sides(name, default)

    def _below(self, value: int, name: str, most: int) -> int:
        if value > most:
            raise ModelError(f"The setting {name} of the network is {value}; the most is {most}.")
        return value

    def norm(self, default: float) -> Any:
        """Normalisation of layers with the network's epsilon."""
        return partial(nn.LayerNorm, eps=self.number("layer_norm_eps", default))

    def ratio(self) -> float:
        """The width of the hidden layer of a block over that of its input, so that it comes out whole."""
        width = self.whole("hidden_size", 768)
        return (self.whole("intermediate_size", 4 * width) + 0.5) / width

    def windows(self, name: str, count: int) -> list[int]:
        """As many sides of windows as there are stages; 0 for one that was never trained at another."""
        value = self._values.get(name, [0] * count)
        if not isinstance(value, list) or not all(isinstance(v, int) and 0 <= v <= _MOST for v in value):
            raise ModelError(f"The setting {name} of the network is no list of whole numbers.")
        return [*value, *[0] * count][:count]
