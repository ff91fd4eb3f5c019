# SPDX-License-Identifier: Apache-2.0
"""The format png: the annotated picture."""

import io
from pathlib import Path

from PIL.PngImagePlugin import PngInfo

from viewer.export.document import display_facts, style_facts
from viewer.export.files import whole
from viewer.export.formats.format import Format
from viewer.export.picture import compose
from viewer.export.provenance import as_json, provenance, versions
from viewer.types import Snapshot
from viewer.wording import RESEARCH_USE


class PictureFormat(Format):
    """One slice with its map; of a volume the name says which one."""

    name = "png"
    suffix = ".png"
    title = "Picture (png)"

    def write(self, snapshot: Snapshot, folder: Path, stem: str) -> str:
        of_volume = snapshot.overlay.map.slice is None
        name = f"{stem}_s{snapshot.slice}{self.suffix}" if of_volume else f"{stem}{self.suffix}"
        save_png(snapshot, folder / name)
        return name


def save_png(snapshot: Snapshot, path: Path) -> None:
    """The composed picture, with its provenance in text chunks that carry no patient identity."""
    shown = snapshot.overlay.map
    info = PngInfo()
    info.add_itxt("Software", f"Whyscope {versions()['whyscope'] or ''}".strip())
    info.add_itxt("Description", f"{shown.title}, slice {snapshot.slice + 1}. {RESEARCH_USE}")
    facts = {
        **provenance(shown),
        "style": style_facts(snapshot.overlay.style),
        "display": display_facts(snapshot),
        "shown_slice": snapshot.slice,
    }
    info.add_itxt("whyscope:provenance", as_json(facts))
    # Encoded in memory: Pillow turns a full disk into an error without its number.
    encoded = io.BytesIO()
    compose(snapshot).save(encoded, "PNG", pnginfo=info, optimize=False)
    with whole(path) as part:
        part.write_bytes(encoded.getbuffer())
