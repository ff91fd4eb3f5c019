"""The panels and bars around the views."""

from viewer.ui.panels.bars import MessageBar, StatusBar, TopBar
from viewer.ui.panels.display import DisplayPanel
from viewer.ui.panels.explain import ExplainPanel
from viewer.ui.panels.export import ExportDialog, ExportWish
from viewer.ui.panels.prediction import PredictionPanel
from viewer.ui.panels.series import SeriesPanel

__all__ = [
    "DisplayPanel",
    "ExplainPanel",
    "ExportDialog",
    "ExportWish",
    "MessageBar",
    "PredictionPanel",
    "SeriesPanel",
    "StatusBar",
    "TopBar",
]
