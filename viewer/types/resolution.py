# SPDX-License-Identifier: Apache-2.0
"""What one value of a map stands for, where that is no cell of its grid."""

from dataclasses import dataclass

Sides = tuple[float, ...]
"""Lengths in pixels of the model's input, along ([slices,] rows, columns)."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Parts of the image that a method changed together: nothing smaller than one is resolved.

    `part` is what a reader calls one, e.g. "window". `sizes` are the sides of one, for each size that was
    used the coarsest first, and `steps` the distances between neighbours; empty where parts have no one size.
    """

    part: str
    sizes: tuple[Sides, ...] = ()
    steps: tuple[Sides, ...] = ()

    def with_those_of(self, other: "Resolution | None") -> "Resolution":
        """This and another of the same method as one: the sizes and steps of both, the coarsest first."""
        if other is None or other == self:
            return self
        own = set(zip(self.sizes, self.steps, strict=True)) | set(zip(other.sizes, other.steps, strict=True))
        every = sorted(own, reverse=True)
        return Resolution(self.part, tuple(size for size, _ in every), tuple(step for _, step in every))
