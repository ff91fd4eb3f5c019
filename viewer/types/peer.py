# SPDX-License-Identifier: Apache-2.0
"""How far a map lies from that of another library, on the very same tensor."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PeerCheck:
    """One map beside the same method by captum or grad-cam.

    `difference` is max |ours − theirs| ÷ max |ours| at native resolution, None where nothing was compared;
    then `reason` says why. `library` is empty where neither has the method.
    """

    method: str
    title: str
    label: str | None
    slice: int | None
    """None for a volume."""
    layer: str | None
    library: str = ""
    version: str = ""
    call: str = ""
    """How the library was called, e.g. "Saliency(net).attribute(x)"."""
    difference: float | None = None
    largest: float = 0.0
    """max |ours|, in the map's unit."""
    double: float | None = None
    """`difference` once more with both sides computed in double precision; None where that was not done."""
    rounding: bool | None = None
    """Whether rounding alone is what sets the two apart; None where nothing asks for that."""
    remark: str = ""
    """Why there is nothing in double precision, or why what is there does not excuse the difference."""
    fault: str = ""
    """A known fault of the library that this network meets, as one sentence."""
    reason: str = ""

    @property
    def words(self) -> str:
        """The result for a reader, in one or two sentences."""
        if not self.library:
            return self.reason
        where = [self.label or "", "" if self.slice is None else f"slice {self.slice}", self.layer or ""]
        place = ", ".join(filter(None, where))
        name = f"{self.title} of {self.library} {self.version} on the same tensor" + (place and f" ({place})")
        if self.difference is None:
            said = f"not compared. {self.reason}"
        else:
            said = f"differs by at most {_share(self.difference)} of the largest value{self._in_double}."
        return " ".join(filter(None, (f"{name}: {said}", self.remark, self.fault)))

    @property
    def _in_double(self) -> str:
        """How a difference is said to go on in double precision."""
        if self.double is None:
            return ""
        verdict = ": rounding, not another method" if self.rounding else ""
        return f" in single precision, and by {_share(self.double)} in double{verdict}"


def _share(value: float) -> str:
    return f"{value:.1e}" if 0 < value < 0.01 else f"{value:.2g}"
