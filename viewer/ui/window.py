# SPDX-License-Identifier: Apache-2.0
"""The window: places its widgets, connects their signals to the presenter, and shows its state."""

from collections.abc import Callable
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
from viewer.ui.commands import assigned
from viewer.ui.jobs import Jobs
from viewer.ui.keyboard import Keyboard
from viewer.ui.panels import (
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
from viewer.ui.views.plane_grid import PlaneGrid
from viewer.ui.views.slice_view import SliceBar, SliceView
from viewer.ui.widgets import theme
from viewer.ui.widgets.parts import dress_panel

NARROW = 1400
"""Below this width of the window the series list starts as a strip."""
RIGHT = (300, 340)
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
        self.top, self.series, self.message = TopBar(), SeriesPanel(), MessageBar()
        self.prediction, self.explaining, self.display = (
            PredictionPanel(),
            ExplainPanel(),
            DisplayPanel(),
        )
        self.plain, self.mapped, self.slices = SliceView(plain=True), SliceView(plain=False), SliceBar()
        self.planes, self.points, self.companions = PlaneGrid(), PointBar(), CompanionsPanel()
        self.sheet, self.compare = ContactSheetGrid(), CompareGrid()
        self.status, self.start = StatusBar(), StartPanel()
        self._place()
        self.presenter = Presenter(self, Jobs(self), settings, preferences, file)
        self._dress(dark=self.presenter.state.shell.preferences.colours == "dark" and not light)
        self.bindings = self._bindings()
        self.keyboard = Keyboard(self)
        self._connect()
        self.show_state(self.presenter.state)
        self.start.setFocus()

    # --- places -----------------------------------------------------------------------------------

    def _place(self) -> None:
        self.divider = QWidget()
        self.divider.setFixedWidth(1)
        self.divider.setStyleSheet(f"background: {theme.DARK.line};")  # between images, in light colours too
        views = QHBoxLayout()
        views.setSpacing(0)
        views.setContentsMargins(0, 0, 0, 0)
        views.addWidget(self.start, 1)
        views.addWidget(self.plain, 1)
        views.addWidget(self.divider)
        views.addWidget(self.mapped, 1)
        for grid in (self.planes, self.sheet, self.compare):
            views.addWidget(grid, 1)
        views.addWidget(self.slices)
        middle = QVBoxLayout()
        middle.setSpacing(0)
        middle.setContentsMargins(0, 0, 0, 0)
        middle.addWidget(self.message)
        middle.addLayout(views, 1)
        middle.addWidget(self.points)
        inside = QWidget()
        dress_panel(inside)
        column = QVBoxLayout(inside)
        column.setSpacing(0)
        column.setContentsMargins(0, 0, 0, 0)
        for panel in (self.prediction, self.explaining, self.companions, self.display):
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
        self.header, self.card = HeaderDialog(self), MethodCard(self)

    def resizeEvent(self, event: QResizeEvent) -> None:
        narrow = event.size().width() < NARROW
        if narrow != self._narrow:  # else the reader's own folding stays
            self._narrow = narrow
            self.series.set_narrow(narrow)
            self.right.setFixedWidth(RIGHT[0] if narrow else RIGHT[1])
        super().resizeEvent(event)

    # --- signals → wishes -------------------------------------------------------------------------

    def _connect(self) -> None:
        p, e, d = self.presenter, self.presenter.explaining, self.presenter.display
        self.keyboard.bind(assigned(p.state.shell.preferences.keys))
        self.keyboard.command.connect(self.run)
        self.keyboard.held.connect(lambda command, down: self.bindings[command](down))
        c = p.preferences
        self.top.open_requested.connect(self._open)
        self.start.wished.connect(self._open)
        self.top.model_requested.connect(lambda _entry: self.ask_model())
        self.top.recent_requested.connect(p.reopen)
        self.start.recent_wished.connect(partial(p.reopen, "studies"))
        self.top.recent_looked_at.connect(c.look)
        self.top.recent_forgotten.connect(c.forget_recent)
        self.top.search_requested.connect(partial(self.run, "search"))
        self.top.settings_requested.connect(partial(self.run, "settings"))
        self.search.command_chosen.connect(self.run)
        self.settings.changed.connect(p.prefer)
        self.header.closed.connect(p.headers.leave)
        self.header.wished.connect(p.headers.look)
        self.settings.forget_recent_wished.connect(c.forget_recent)
        self.settings.forget_trusted_wished.connect(c.forget_trusted)
        self.settings.keys.wished.connect(lambda *wish: self.settings.keys.refuse(c.set_key(*wish)))
        self.settings.keys.default_wished.connect(lambda n: self.settings.keys.refuse(c.default_key(n)))
        self.settings.keys.defaults_wished.connect(c.default_keys)
        self.top.export_requested.connect(self.ask_export)
        self.top.mask_toggled.connect(p.toggle_mask)
        self.top.layout_chosen.connect(d.choose_layout)
        self.top.theme_toggled.connect(self.toggle_theme)
        self.series.series_chosen.connect(p.choose_series)
        self.prediction.target_chosen.connect(e.choose_target)
        self.prediction.model_requested.connect(self.ask_model)
        self.explaining.method_chosen.connect(e.choose_method)
        self.explaining.target_chosen.connect(e.choose_target)
        self.explaining.against_chosen.connect(e.choose_against)
        self.explaining.layer_chosen.connect(e.choose_layer)
        self.explaining.within_chosen.connect(e.choose_within)
        self.explaining.sweep_chosen.connect(p.patches.sweep)
        self.explaining.strip_requested.connect(p.layer_strip.wish)
        self.explaining.card_requested.connect(partial(self.run, "method-card"))
        self.explaining.looked_at.connect(self._look_at)
        self.explaining.setting_changed.connect(e.set_setting)
        self.explaining.explain_requested.connect(e.explain)
        self.explaining.cancel_requested.connect(p.cancel)
        self.companions.map_chosen.connect(p.companions.choose)
        self.companions.hidden_changed.connect(p.companions.hide)
        self.points.point_requested.connect(p.slices.go_to_point)
        self.points.along_chosen.connect(p.play_along)
        self.display.style_changed.connect(d.set_style)
        self.display.lock_toggled.connect(d.lock_range)
        self.display.overlay_toggled.connect(d.toggle_overlay)
        self.message.action.connect(e.answer)
        self.message.dismissed.connect(p.dismiss)
        self.slices.slice_requested.connect(p.go_to)
        self.planes.window_dragged.connect(d.drag_window)
        self.planes.marked.connect(p.mpr.mark)
        self.planes.placed.connect(p.patches.place_at)
        self.planes.stepped.connect(p.mpr.step)
        self.planes.pointed.connect(p.mpr.point)
        self.planes.enlarge_requested.connect(p.mpr.enlarge)
        self.planes.slab_changed.connect(p.mpr.set_slab)
        self.planes.turned.connect(p.mpr.turn)
        self.planes.alignment_chosen.connect(p.mpr.align)
        self.sheet.of_chosen.connect(p.contact_sheet.choose)
        self.sheet.all_requested.connect(p.contact_sheet.wish)
        self.sheet.negatives_requested.connect(partial(e.answer, "show"))
        self.sheet.cell_chosen.connect(
            lambda kind, name: (e.choose_target if kind == "label" else e.choose_method)(name)
        )
        self.sheet.opened.connect(partial(d.choose_layout, "1|1"))
        self.compare.keep_requested.connect(p.comparing.keep)
        self.compare.ranks_chosen.connect(p.comparing.as_ranks)
        self.compare.view_changed.connect(self.mapped.set_view)
        self.mapped.view_changed.connect(self.compare.set_view)
        self.plain.view_changed.connect(self.compare.set_view)
        self.compare.window_dragged.connect(d.drag_window)
        self.compare.slice_wheel.connect(p.step)
        self.compare.point_wheel.connect(p.step_point)
        self.compare.pointer_moved.connect(p.point)
        self.compare.patch_placed.connect(p.patches.place)
        self.compare.maximise_requested.connect(partial(d.choose_layout, "1|1"))
        for view, other in ((self.plain, self.mapped), (self.mapped, self.plain)):
            view.window_dragged.connect(d.drag_window)
            view.slice_wheel.connect(p.step)
            view.point_wheel.connect(p.step_point)
            view.pointer_moved.connect(p.point)
            view.patch_placed.connect(p.patches.place)
            view.view_changed.connect(other.set_view)
            view.maximise_requested.connect(self._maximise)

    def _bindings(self) -> dict[str, Callable[..., None]]:
        """What each command of the table does; a held one is told whether its key is down."""
        p, d = self.presenter, self.presenter.display
        windows: dict[str, Callable[..., None]] = {f"window-{n}": partial(d.preset, n) for n in range(9)}
        return windows | {
            "open-folder": self.ask_study,
            "open-files": self.ask_files,
            "open-demo": p.open_demo,
            "open-model": self.ask_model,
            "export": self.ask_export,
            "next-slice": partial(p.step, 1),
            "previous-slice": partial(p.step, -1),
            "ten-slices-on": partial(p.step, 10),
            "ten-slices-back": partial(p.step, -10),
            "first-slice": partial(p.go_to, 0),
            "last-slice": partial(p.step, 10**6),
            "next-point": partial(p.step_point, 1),
            "previous-point": partial(p.step_point, -1),
            "play": p.slices.play,
            "play-along": p.play_other,
            "next-evidence": p.next_evidence,
            "next-series": partial(p.step_series, 1),
            "previous-series": partial(p.step_series, -1),
            "invert": d.invert,
            "explain": p.explaining.explain,
            "method-card": self._card,
            "place-patch": p.patches.place_here,
            "middle-patch": p.patches.middle,
            "cancel": p.cancel,
            "overlay": d.toggle_overlay,
            "hide-while-held": d.peek,
            "outlines": d.toggle_outlines,
            "annotations": d.toggle_annotations,
            "less-opacity": partial(d.change_opacity, -0.1),
            "more-opacity": partial(d.change_opacity, 0.1),
            "lock-range": lambda: d.lock_range(not self._state.views.locked),
            "undo": d.undo,
            "redo": d.redo,
            "search": self._search,
            "settings": self._settings,
            "header": self._header,
            "mask": p.toggle_mask,
            "one-view": partial(d.choose_layout, "1"),
            "two-views": partial(d.choose_layout, "1|1"),
            "keep": p.comparing.keep,
            "sheet": partial(d.choose_layout, "sheet"),
            "compare": partial(d.choose_layout, "compare"),
            "three-planes": partial(d.choose_layout, "3"),
            "patient-planes": partial(p.mpr.align, "patient"),
            "acquired-planes": partial(p.mpr.align, "acquired"),
            "colours": self.toggle_theme,
            "full-screen": self._full_screen,
        }

    def run(self, command: str) -> None:
        """Do what a command of the table says."""
        self.bindings[command]()

    def _open(self, what: str) -> None:
        self.run({"folder": "open-folder", "files": "open-files", "demo": "open-demo"}[what])

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
        self.card.open(QRect(top, chooser.size()), name)

    def _look_at(self, name: str | None) -> None:
        self.card.rest() if name is None else self._card(name)

    def _settings(self) -> None:
        self.settings.show()
        self.settings.raise_()
        self.settings.activateWindow()

    def _full_screen(self) -> None:
        self.showNormal() if self.isFullScreen() else self.showFullScreen()

    def _maximise(self) -> None:
        self.presenter.display.choose_layout("1|1" if self._state.views.layout == "1" else "1")

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
            self.presenter.open([Path(folder)])

    def ask_files(self) -> None:
        files, _ = QFileDialog.getOpenFileNames(self, "Open DICOM files or pictures")
        if files:
            self.presenter.open([Path(file) for file in files])

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
            self.presenter.open(paths)

    # --- state ------------------------------------------------------------------------------------

    def show_state(self, state: ViewState) -> None:
        """Hand the state to every widget; each redraws what changed."""
        before, self._state = self._state.shell.preferences, state
        self._follow(before, state.shell.preferences)
        empty = not state.studies.items and state.view.series is None and state.shell.busy is None
        layout = "3" if state.three else "1|1" if state.views.layout == "3" else state.views.layout
        grids: dict[str, QWidget] = {"3": self.planes, "sheet": self.sheet, "compare": self.compare}
        view = self.start if empty else grids.get(layout, self.mapped)
        began = view.isHidden()
        for widget in (*grids.values(), self.mapped):
            widget.setVisible(widget is view)
        two = not empty and layout == "1|1"
        self.plain.setVisible(two)
        self.divider.setVisible(two)
        self.start.setVisible(empty)
        for widget in (
            self.top, self.series, self.message, self.plain, self.mapped, self.slices,
            self.prediction, self.explaining, self.display, self.status, self.start,
            self.search, self.settings, self.header, self.card, self.planes, self.points, self.companions,
            self.sheet, self.compare,
        ):  # fmt: skip
            widget.show(state)
        if began:
            view.setFocus()  # else the keyboard goes to what comes next by Tab

    def _follow(self, before: Preferences, now: Preferences) -> None:
        """Keys and colours as preferred, where the preference has changed."""
        if now.keys != before.keys:
            self.keyboard.bind(assigned(now.keys))
        if now.colours != before.colours and (now.colours == "dark") != self._dark:
            self._dress(now.colours == "dark")

    def closeEvent(self, event: QCloseEvent) -> None:
        self.keyboard.close()
        self.settings.close()
        self.presenter.close()
        super().closeEvent(event)
