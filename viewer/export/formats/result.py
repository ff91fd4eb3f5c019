# SPDX-License-Identifier: Apache-2.0
"""The format json: the one document of all maps, `result.json`."""

from pathlib import Path

from viewer.export.document import Document
from viewer.export.files import whole
from viewer.export.formats.format import Format
from viewer.export.provenance import as_json
from viewer.types import Snapshot

RESULT = "result.json"


class Result(Format):
    """Every map of an export is in one file, which stands there whether or not it was asked for."""

    name = "json"
    suffix = ".json"
    title = "Prediction and provenance (json)"

    def write(self, snapshot: Snapshot, folder: Path, stem: str) -> str:
        """Gives the name alone: `save_result` follows when all other files, which it names, are there."""
        return RESULT


def save_result(document: Document, folder: Path) -> None:
    """Write the document of an export."""
    with whole(folder / RESULT) as part:
        part.write_text(as_json(document, indent=1), "utf-8")
