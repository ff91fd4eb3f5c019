# SPDX-License-Identifier: Apache-2.0
"""What a reader is told of a setting."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tip:
    """What a setting is, in the unit that it has; stands in the `Annotated` type of a method's field.

    `more` is what a larger value does, which every number has; `zero` what 0 means, and `none` what no
    value means, where those are allowed.
    """

    what: str
    more: str = ""
    zero: str = ""
    none: str = ""

    @property
    def words(self) -> str:
        """Sentences, one a line."""
        lines = ((None, self.what), ("Larger", self.more), ("0", self.zero), ("None", self.none))
        return "\n".join(f"{text}." if name is None else f"{name}: {text}." for name, text in lines if text)
