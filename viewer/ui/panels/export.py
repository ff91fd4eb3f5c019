# SPDX-License-Identifier: Apache-2.0
"""What to write, where, and whether it may name the patient."""

from pathlib import Path
from typing import NamedTuple

from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from viewer.export.formats import BY_NAME
from viewer.types import Series
from viewer.ui.widgets.controls import Switch
from viewer.ui.widgets.parts import Sentence, heading


class ExportWish(NamedTuple):
    """What the reader asked to be written."""

    folder: Path
    formats: tuple[str, ...]
    show_identity: bool


class ExportDialog(QDialog):
    """Asks for formats and a folder; the identity stays out unless it is asked for.

    What is impossible for the `series` of the map cannot be chosen, and says why.
    """

    def __init__(
        self, parent: QWidget | None = None, folder: Path | None = None, series: Series | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export")
        self.setMinimumWidth(440)
        self.formats = {name: Switch(one.title) for name, one in BY_NAME.items()}
        self.folder = QLineEdit(str(folder or Path.home() / "whyscope"))
        self.folder.setAccessibleName("Folder")
        self.choose = QPushButton("Choose…")
        self.choose.setAutoDefault(False)  # else Enter in the field beside it would press it
        self.identity = Switch("Show the patient's name and number")
        self.warning = Sentence(
            "The files will name the patient. Share them as you would the images.", "warning"
        )
        policy = self.warning.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.warning.setSizePolicy(policy)
        self.warning.hide()
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.write = QPushButton("Export")
        self.write.setProperty("primary", True)
        self.buttons.addButton(self.write, QDialogButtonBox.ButtonRole.AcceptRole)
        self._lay_out()
        self.folder.setFocus()  # what is written is right mostly, where is not
        self.folder.selectAll()
        self.write.setDefault(True)  # a dialogue listens to this only once the button is in it
        for name, box in self.formats.items():
            why = None if series is None else BY_NAME[name].unsuitable(series)
            box.setChecked(why is None)
            box.setEnabled(why is None)
            box.setToolTip(why or "")
            box.toggled.connect(self._check)
        self.folder.textChanged.connect(self._check)
        self.identity.toggled.connect(self.warning.setVisible)
        self.choose.clicked.connect(self._choose)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self._check()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 16, 20, 16)
        column.setSpacing(8)
        column.addWidget(heading("What"))
        for box in self.formats.values():
            column.addWidget(box)
        column.addSpacing(8)
        column.addWidget(heading("Where"))
        line = QHBoxLayout()
        line.addWidget(self.folder, 1)
        line.addWidget(self.choose)
        column.addLayout(line)
        column.addSpacing(8)
        column.addWidget(heading("Whose"))
        column.addWidget(self.identity)
        column.addWidget(self.warning)
        column.addSpacing(8)
        column.addWidget(self.buttons)

    def values(self) -> ExportWish:
        """What is asked for, as it stands."""
        formats = tuple(name for name, box in self.formats.items() if box.isChecked())
        return ExportWish(Path(self.folder.text().strip()).expanduser(), formats, self.identity.isChecked())

    def _choose(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder for the export", self.folder.text())
        if folder:
            self.folder.setText(folder)

    def _check(self) -> None:
        some = any(box.isChecked() for box in self.formats.values())
        there = bool(self.folder.text().strip())
        self.write.setEnabled(some and there)
        why = "" if some else "Choose at least one format."
        self.write.setToolTip(why or ("" if there else "Choose a folder."))
