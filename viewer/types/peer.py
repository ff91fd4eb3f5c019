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
            small = 0 < self.difference < 0.01
            share = f"{self.difference:.1e}" if small else f"{self.difference:.2g}"
            said = f"differs by at most {share} of the largest value."
        return f"{name}: {said} {self.fault}".strip()
