# SPDX-License-Identifier: Apache-2.0
"""From which slice to which a box goes that is searched."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QSpinBox, QWidget

from viewer.ui.state import ViewState
from viewer.ui.widgets.form import dress
from viewer.ui.widgets.parts import Text


class SearchedSlices(QWidget):
    """Two numbers, as readers count slices: from 1."""

    changed = Signal(int, int)
    """The first and the last slice, from 0."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = QSpinBox(), QSpinBox()
        between = Text("to", "quiet")
        between.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        for spin, name in ((self.first, "First slice searched"), (self.last, "Last slice searched")):
            dress(spin)
            spin.setAccessibleName(name)
            spin.setToolTip(f"{name}; the box can also be drawn with Ctrl held in another plane")
            spin.setKeyboardTracking(False)
            spin.valueChanged.connect(
                lambda _value: self.changed.emit(self.first.value() - 1, self.last.value() - 1)
            )
        row.addWidget(self.first, 1)
        row.addWidget(between)
        row.addWidget(self.last, 1)

    def put(self, state: ViewState) -> bool:
        """Show those of the box; whether there is one and slices to choose from."""
        box, series, model = state.request.box, state.view.series, state.answer.model
        if box is None or series is None or model is None or not model.volume:
            return False
        for spin, corner in ((self.first, box[0]), (self.last, box[1])):
            spin.blockSignals(True)
            spin.setRange(1, series.shape[0])
            spin.setValue(round(corner[0]) + 1)
            spin.blockSignals(False)
        return True
