# SPDX-License-Identifier: Apache-2.0
"""The panels and bars around the views."""

from viewer.ui.panels.bars import StatusBar, TopBar
from viewer.ui.panels.code import CodeDialog
from viewer.ui.panels.companions import CompanionsPanel
from viewer.ui.panels.display import DisplayPanel
from viewer.ui.panels.explain import ExplainPanel
from viewer.ui.panels.export import ExportDialog, ExportWish
from viewer.ui.panels.header import HeaderDialog
from viewer.ui.panels.message_bar import MessageBar
from viewer.ui.panels.method_card import MethodCard
from viewer.ui.panels.opening import StartPanel
from viewer.ui.panels.points import PointBar
from viewer.ui.panels.prediction import PredictionPanel
from viewer.ui.panels.preferences import PreferencesDialog
from viewer.ui.panels.search import CommandSearch
from viewer.ui.panels.search_result import SearchResultPanel
from viewer.ui.panels.series import SeriesPanel

__all__ = [
    "CodeDialog",
    "CommandSearch",
    "CompanionsPanel",
    "DisplayPanel",
    "ExplainPanel",
    "ExportDialog",
    "ExportWish",
    "HeaderDialog",
    "MessageBar",
    "MethodCard",
    "PointBar",
    "PredictionPanel",
    "PreferencesDialog",
    "SearchResultPanel",
    "SeriesPanel",
    "StartPanel",
    "StatusBar",
    "TopBar",
]
