# SPDX-License-Identifier: Apache-2.0
"""The window: places its widgets, connects their signals to the presenter, and shows its state."""

from functools import partial
from pathlib import Path

from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QApplication,
    QFileDialog,
    QHBoxLayout,
    QMainWindow,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from viewer.settings import Preferences, Settings
from viewer.ui.commands import Bindings, assigned
from viewer.ui.jobs import Jobs
from viewer.ui.keyboard import Keyboard
from viewer.ui.panels import (
    CodeDialog,
    CommandSearch,
    CompanionsPanel,
    DisplayPanel,
    ExplainPanel,
    ExportDialog,
    HeaderDialog,
    MessageBar,
    MethodCard,
    PointBar,
    PredictionPanel,
    PreferencesDialog,
    SearchResultPanel,
    SeriesPanel,
    StartPanel,
    StatusBar,
    TopBar,
)
from viewer.ui.presenter.preferences_file import PreferencesFile
from viewer.ui.presenter.presenter import Presenter
from viewer.ui.state import ViewState
from viewer.ui.views.compare_grid import CompareGrid
from viewer.ui.views.contact_sheet_grid import ContactSheetGrid
from viewer.ui.views.layers import RenderCache
from viewer.ui.views.plane_grid import PlaneGrid
from viewer.ui.views.slice_bar import SliceBar
from viewer.ui.views.slice_grid import SliceGrid
from viewer.ui.views.slice_view import SliceView
from viewer.ui.widgets import theme
from viewer.ui.widgets.parts import dress_panel

_NARROW = 1400
"""Below this width of the window the series list starts as a strip."""
_RIGHT = (300, 340)
"""Width of the right side in a narrow and in a wide window."""


class Window(QMainWindow):
    """Whyscope's window. `presenter` decides; nothing here does."""

    def __init__(
        self,
        settings: Settings,
        preferences: Preferences | None = None,
        file: PreferencesFile | None = None,
        light: bool = False,
    ) -> None:
        super().__init__()
        self.setWindowTitle("Whyscope")
        self.setAcceptDrops(True)
        self._narrow: bool | None = None
        self._state = ViewState()
        self._stage = QWidget()
        self.top, self.series, self.message = TopBar(), SeriesPanel(), MessageBar(self._stage)
        cache = RenderCache()
        self.prediction, self.explaining = PredictionPanel(), ExplainPanel(cache)
        self.display, self.found = DisplayPanel(), SearchResultPanel()
        self.views, self.planes, self.compare = SliceGrid(cache), PlaneGrid(cache), CompareGrid(cache)
        self.contact_sheet, self.slices = ContactSheetGrid(cache), SliceBar()
        self.points, self.companions = PointBar(), CompanionsPanel()
        self.status, self.start = StatusBar(), StartPanel()
        self._place()
        self.presenter = Presenter(self, Jobs(self), settings, preferences, file)
        self._dress(dark=self.presenter.state.shell.preferences.colours == "dark" and not light)
        self.bindings = self.presenter.commands() | self._commands()
        self.keyboard = Keyboard(self)
        self._wire()
        self.show_state(self.presenter.state)
        self.start.setFocus()

    # --- places -----------------------------------------------------------------------------------

    def _place(self) -> None:
        stage = QHBoxLayout(self._stage)
        stage.setSpacing(0)
        stage.setContentsMargins(0, 0, 0, 0)
        for place in (self.start, self.views, self.planes, self.contact_sheet, self.compare):
            stage.addWidget(place, 1)
        views = QHBoxLayout()
        views.setSpacing(0)
        views.addWidget(self._stage, 1)
        views.addWidget(self.slices)
        middle = QVBoxLayout()
        middle.setSpacing(0)
        middle.setContentsMargins(0, 0, 0, 0)
        middle.addLayout(views, 1)
        middle.addWidget(self.points)
        inside = QWidget()
        dress_panel(inside)
        column = QVBoxLayout(inside)
        column.setSpacing(0)
        column.setContentsMargins(0, 0, 0, 0)
        for panel in (self.prediction, self.found, self.explaining, self.companions, self.display):
            column.addWidget(panel)
        column.addStretch(1)
        self.right = QScrollArea()
        self.right.setWidget(inside)
        self.right.setWidgetResizable(True)
        self.right.setFrameShape(QScrollArea.Shape.NoFrame)
        # Else the keyboard would stop where nothing shows it, after any click beside the controls.
        self.right.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.right.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        row = QHBoxLayout()
        row.setSpacing(0)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.series)
        row.addLayout(middle, 1)
        row.addWidget(self.right)
        whole = QWidget()
        page = QVBoxLayout(whole)
        page.setSpacing(0)
        page.setContentsMargins(0, 0, 0, 0)
        page.addWidget(self.top)
        page.addLayout(row, 1)
        page.addWidget(self.status)
        self.setCentralWidget(whole)
        self.setMinimumSize(1024, 640)
        self.search, self.settings = CommandSearch(self), PreferencesDialog(self)
        self.header, self.card, self.code = HeaderDialog(self), MethodCard(self), CodeDialog(self)

    def resizeEvent(self, event: QResizeEvent) -> None:
        narrow = event.size().width() < _NARROW
        if narrow != self._narrow:  # else the reader's own folding stays
            self._narrow = narrow
            self.series.set_narrow(narrow)
            self.right.setFixedWidth(_RIGHT[0] if narrow else _RIGHT[1])
        super().resizeEvent(event)

    @property
    def plain(self) -> SliceView:
        """The view that draws no map."""
        return self.views.view("none")

    @property
    def mapped(self) -> SliceView:
        """The view that draws the chosen map."""
        return self.views.view("chosen")

    # --- signals → wishes -------------------------------------------------------------------------

    def _wire(self) -> None:
        """Have each part ask the presenter by itself; what opens windows is asked here."""
        self.keyboard.bind(assigned(self.presenter.state.shell.preferences.keys))
        self.keyboard.command.connect(self.run)
        self.keyboard.held.connect(lambda command, down: self.bindings[command](down))
        for part in (
            self.message, self.settings, self.header, self.series, self.companions, self.points,
            self.found, self.slices, self.planes, self.views, self.contact_sheet, self.compare, self.card,
            self.code,
        ):  # fmt: skip
            part.wire(self.presenter)
        for asking in (self.top, self.start, self.search, self.prediction, self.explaining, self.display):
            asking.wire(self.presenter, self.run)
        self.explaining.looked_at.connect(self._look_at)

    def _commands(self) -> Bindings:
        """What each command of the table does that opens another window, or is about the window itself."""
        return {
            "open-folder": self.ask_study,
            "open-files": self.ask_files,
            "open-model": self.ask_model,
            "export": self.ask_export,
            "method-card": self._card,
            "check-library": self._check_library,
            "search": self._search,
            "settings": self._settings,
            "header": self._header,
            "fit-image": partial(self._zoom_all, False),
            "actual-size": partial(self._zoom_all, True),
            "colours": self.toggle_theme,
            "full-screen": self._full_screen,
        }

    def _zoom_all(self, actual: bool) -> None:
        """Show one pixel of the images that are seen on one of the screen, or the whole of each."""
        for grid in (self.views, self.planes, self.compare):
            for view in () if grid.isHidden() else grid.zoomed:
                view.actual_size() if actual else view.fit()

    def run(self, command: str) -> None:
        """Do what a command of the table says."""
        self.bindings[command]()

    def _search(self) -> None:
        field = self.top.search
        self.search.open(QRect(field.mapTo(self, QPoint(0, 0)), field.size()))

    def _header(self) -> None:
        self.header.show()
        self.presenter.headers.look()
        self.header.search.setFocus()

    def _card(self, name: str | None = None) -> None:
        panel, chooser = self.explaining, self.explaining.method
        top = QPoint(panel.mapTo(self, QPoint(0, 0)).x(), chooser.mapTo(self, QPoint(0, 0)).y())
        stage = QRect(self._stage.mapTo(self, QPoint(0, 0)), self._stage.size())
        self.card.open(QRect(top, chooser.size()), stage, self._evidence_in, name)

    def _evidence_in(self, box: QRect) -> float:
        """How much of the drawn maps lies below a part of the window."""
        return sum(view.evidence_in(box.translated(-view.mapTo(self, QPoint(0, 0)))) for view in self._seen())

    def _seen(self) -> list[SliceView]:
        return [view for view in self.findChildren(SliceView) if view.isVisible()]

    def _check_library(self) -> None:
        if self.presenter.library_check.check() and not self.card.isVisible():
            self._card()  # where the result is told

    def _look_at(self, name: str | None) -> None:
        self.card.rest() if name is None else self._card(name)

    def _settings(self) -> None:
        self.settings.show()
        self.settings.raise_()
        self.settings.activateWindow()

    def _full_screen(self) -> None:
        self.showNormal() if self.isFullScreen() else self.showFullScreen()

    def toggle_theme(self) -> None:
        """The other colours than those shown, which `--light` may have chosen."""
        dark = not self._dark
        self._dress(dark)
        self.presenter.preferences.prefer(colours="dark" if dark else "light")

    def _dress(self, dark: bool) -> None:
        self._dark = dark
        application = QApplication.instance()
        if isinstance(application, QApplication):
            theme.apply(application, theme.DARK if dark else theme.LIGHT)

    # --- dialogues and drops ----------------------------------------------------------------------

    def ask_study(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open a folder of DICOM files")
        if folder:
            self.presenter.studies.open([Path(folder)])

    def ask_files(self) -> None:
        files, _ = QFileDialog.getOpenFileNames(self, "Open DICOM files or pictures")
        if files:
            self.presenter.studies.open([Path(file) for file in files])

    def ask_model(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open a model folder")
        if folder:
            self.presenter.explaining.load_model(Path(folder))

    def ask_export(self) -> None:
        shown = self._state.shown
        if shown is None:
            self.presenter.export(Path(), (), False)  # says that there is nothing yet
            return
        dialog = ExportDialog(self, series=shown.series)
        if dialog.exec():
            wish = dialog.values()
            self.presenter.export(wish.folder, wish.formats, wish.show_identity)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            self.presenter.studies.open(paths)

    # --- state ------------------------------------------------------------------------------------

    def show_state(self, state: ViewState) -> None:
        """Hand the state to every widget; each redraws what changed."""
        before, self._state = self._state.shell.preferences, state
        self._follow(before, state.shell.preferences)
        # A model alone that is opened changes nothing here: what could be opened stays in its place.
        empty = not state.studies.items and state.view.series is None and state.shell.reading is None
        layout = "" if state.views.layout == "3" and not state.three else state.views.layout
        grids: dict[str, QWidget] = {"3": self.planes, "sheet": self.contact_sheet, "compare": self.compare}
        shown = self.start if empty else grids.get(layout, self.views)
        began = shown.isHidden()
        for place in (*grids.values(), self.views, self.start):
            place.setVisible(place is shown)
        for widget in (
            self.top, self.series, self.message, self.views, self.slices,
            self.prediction, self.found, self.explaining, self.display, self.status, self.start,
            self.search, self.settings, self.header, self.card, self.planes, self.points, self.companions,
            self.contact_sheet, self.compare, self.code,
        ):  # fmt: skip
            widget.show(state)
        if began:
            (
                self.mapped if shown is self.views else shown
            ).setFocus()  # else the keyboard goes to what comes next by Tab

    def _follow(self, before: Preferences, now: Preferences) -> None:
        """Keys and colours as preferred, where the preference has changed."""
        if now.keys != before.keys:
            self.keyboard.bind(assigned(now.keys))
        if now.colours != before.colours and (now.colours == "dark") != self._dark:
            self._dress(now.colours == "dark")

    def closeEvent(self, event: QCloseEvent) -> None:
        self.keyboard.close()
        self.settings.close()
        self.code.close()
        self.presenter.close()
        super().closeEvent(event)
