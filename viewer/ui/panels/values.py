# SPDX-License-Identifier: Apache-2.0
"""The values of the features that have a name, such as those of segments."""

from PySide6.QtWidgets import QGridLayout, QWidget

from viewer.ui.state import ViewState
from viewer.ui.views.captions import feature_values
from viewer.ui.widgets.parts import Text

_MOST_FEATURES = 6
"""Features that are listed before "and more"."""
_TIP = "The value of each feature of this map, in {unit}; the strongest first"


class FeatureValues(QWidget):
    """A row for each feature, its number on the right; hidden where no feature of the map has a name."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = [(Text("", "quiet"), Text("", "quiet", right=True)) for _ in range(_MOST_FEATURES + 1)]
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 2)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(0, 3)
        grid.setColumnStretch(1, 1)
        for row, (name, value) in enumerate(self.rows):
            grid.addWidget(name, row, 0)
            grid.addWidget(value, row, 1)
        self.hide()

    def put(self, state: ViewState) -> None:
        """Show those of the map of a state."""
        words = feature_values(state, _MOST_FEATURES)
        unit = "" if state.answer.attribution is None else state.answer.attribution.unit
        for (name, value), (of, number) in zip(
            self.rows, words + [("", "")] * (len(self.rows) - len(words)), strict=True
        ):
            name.set_text(of, _TIP.format(unit=unit) if of else "")
            value.set_text(number)
            name.setVisible(bool(of))
            value.setVisible(bool(of))
        self.setVisible(bool(words))
