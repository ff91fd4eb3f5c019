# SPDX-License-Identifier: Apache-2.0
"""The method card: what a method shows, what it costs, when not to believe it, and where it was published."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QStandardItem, QStandardItemModel
from PySide6.QtWidgets import QApplication, QFrame, QHBoxLayout, QVBoxLayout, QWidget

from viewer.types import PeerCheck
from viewer.ui.state import MethodItem, ViewState
from viewer.ui.widgets.controls import Combo, IconButton, Link
from viewer.ui.widgets.parts import Sentence, Text, heading, mark_as
from viewer.wording import SAME_FOR_ALL

if TYPE_CHECKING:
    from viewer.ui.presenter.presenter import Presenter

WIDTH = 348
_GAP = 8
CHECK = "Check with the library"
MEANT = "Up to 1e-4 they are one map: the method was followed. What the map means is another matter."
_FOLD = Qt.ItemDataRole.UserRole + 1
"""What the entry carries that folds and unfolds the methods of libraries."""


class MethodCombo(Combo):
    """The methods by family, those of libraries folded away.

    `looked_at` tells the one that is pointed at while the list is open, `chosen` the one that is taken.
    """

    chosen = Signal(str)
    looked_at = Signal(object)
    """The name of a method, suitable or not; None when the list closes."""

    def __init__(self) -> None:
        super().__init__()
        self._open = False
        self._methods: tuple[MethodItem, ...] = ()
        self._unfolded = False
        self._name: str | None = None
        self.view().setMouseTracking(True)
        self.view().entered.connect(lambda index: self._look(index.row()))
        self.highlighted.connect(self._look)
        self.activated.connect(self._take)
        self.setMaxVisibleItems(24)

    def put(self, methods: tuple[MethodItem, ...], item: MethodItem | None) -> None:
        """Show the methods and which is chosen; emits nothing."""
        hidden = item is not None and bool(item.library) and not self._unfolded
        if methods is not self._methods or hidden:
            self._methods = methods
            self._unfolded |= hidden
            self._fill()
        self._name = None if item is None else item.name
        self.choose(self._name)

    def _fill(self) -> None:
        font = self.font()
        font.setPixelSize(11)
        font.setBold(True)
        entries = QStandardItemModel()

        def add(group: str, some: list[MethodItem]) -> None:
            title = QStandardItem(group.upper())
            title.setFlags(Qt.ItemFlag.NoItemFlags)
            title.setFont(font)
            for entry in (title, *map(_entry, some)):
                entries.appendRow(entry)

        own = [m for m in self._methods if not m.library]
        for family in dict.fromkeys(m.family for m in own):
            add(family, [m for m in own if m.family == family])
        libraries = dict.fromkeys(m.library for m in self._methods if m.library)
        if libraries:
            entries.appendRow(_fold(len(self._methods) - len(own), self._unfolded))
        for library in libraries if self._unfolded else ():
            add(library, [m for m in self._methods if m.library == library])
        self.fill(entries)

    def _take(self, place: int) -> None:
        name = self.itemData(place)
        if self.itemData(place, _FOLD):
            self._unfolded = not self._unfolded
            self._fill()
            self.choose(self._name)
            self.showPopup()
        elif name is not None:
            self.chosen.emit(name)

    def _look(self, place: int) -> None:
        name = self.itemData(place)
        if name is not None and self._open:  # the arrows change a closed one too
            self.looked_at.emit(name)

    def showPopup(self) -> None:
        self._open = True
        super().showPopup()
        self._look(self.currentIndex())

    def hidePopup(self) -> None:
        super().hidePopup()
        if self._open:
            self._open = False
            self.looked_at.emit(None)


def _entry(method: MethodItem) -> QStandardItem:
    entry = QStandardItem(method.title)
    entry.setData(method.name, Qt.ItemDataRole.UserRole)
    if method.unsuitable is None:
        entry.setToolTip(f"{method.shows}\nCost: {method.cost}")
    else:
        entry.setToolTip(method.unsuitable)
        entry.setEnabled(False)
    return entry


def _fold(count: int, unfolded: bool) -> QStandardItem:
    """The entry that shows the methods of libraries, or hides them again."""
    entry = QStandardItem("From libraries" if unfolded else f"From libraries ({count}) …")
    entry.setData(True, _FOLD)
    entry.setToolTip("Methods as captum and grad-cam compute them: " + ("hide" if unfolded else "show"))
    return entry


class MethodCard(QFrame):
    """Opens over the views where less of the map lies below it; Esc or a click elsewhere closes it.

    Of the method whose map is drawn it offers the check with a library, and says what that found.
    """

    check_requested = Signal()
    cancel_requested = Signal()

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        mark_as(self, "popup")
        self.setAccessibleName("About the method")
        self._state = ViewState()
        self._name: str | None = None
        self._stays = False
        self._anchor, self._stage = QRect(), QRect()
        self._evidence: Callable[[QRect], float] = lambda _box: 0.0
        self._over: object = self
        """The map that the side was chosen for."""
        self._left = False
        self.title, self.family = Text("", "title"), Text("", "quiet")
        self.unsuitable = Sentence("", "warning")
        self.shows, self.cost, self.paper = Sentence(), Sentence(), Sentence("", "quiet")
        self.caution = Sentence()
        self.checked, self.meant = Sentence(), Sentence(MEANT, "quiet")
        self.check = Link(CHECK)
        self.check.inset = 0
        self.check.clicked.connect(self._ask)
        self.close_button = IconButton("close", "Close")
        self.close_button.clicked.connect(self.give_up)
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.close_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 10, 12, 14)
        column.setSpacing(4)
        column.addLayout(head)
        column.addWidget(self.family)
        column.addWidget(self.unsuitable)
        self._parts: list[tuple[QWidget, Sentence]] = []
        for words, sentence in (
            ("What it shows", self.shows),
            ("What it costs", self.cost),
            ("When not to believe it", self.caution),
            ("Published", self.paper),
            ("Checked with the library", self.checked),
        ):
            above = heading(words)
            above.setContentsMargins(0, 8, 0, 0)
            if sentence is self.caution:
                mark_as(above, "warning")
            column.addWidget(above)
            column.addWidget(sentence)
            self._parts.append((above, sentence))
        column.addWidget(self.meant)
        column.addWidget(self.check, 0, Qt.AlignmentFlag.AlignLeft)
        self._column = column
        self.hide()

    def wire(self, presenter: "Presenter") -> None:
        """Ask the presenter for what is asked of this part."""
        self.check_requested.connect(presenter.library_check.check)
        self.cancel_requested.connect(presenter.cancel)

    def show(self, state: ViewState | None = None) -> None:
        """Take a state. Without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        changed = any(a is not b for a, b in zip(_drawn(state), _drawn(self._state), strict=True))
        self._state = state
        if changed and self.isVisible():
            self._fill()

    def open(
        self, anchor: QRect, stage: QRect, evidence: Callable[[QRect], float], name: str | None = None
    ) -> None:
        """Open at the height of `anchor`; of a method by name for as long as that is looked at, else to stay.

        `stage` is where the views lie in the window, and `evidence` says how much of the map a part covers.
        """
        if name is None and self.isVisible() and self._stays:
            self.give_up()
            return
        self._anchor, self._stage, self._evidence, self._name = anchor, stage, evidence, name
        if not self.isVisible():
            self._over = self
        self._stays = self._stays or name is None
        if self._item() is None:
            return
        if not self.isVisible():
            QApplication.instance().installEventFilter(self)  # type: ignore[union-attr]
        self.show()
        self.raise_()
        self._fill()

    def rest(self) -> None:
        """Nothing is looked at any more: what was opened to stay shows the chosen method again."""
        self._name = None
        if self._stays:
            self._fill()
        else:
            self.give_up()

    def give_up(self) -> None:
        """Close."""
        self._stays, self._name = False, None
        if self.isVisible():
            QApplication.instance().removeEventFilter(self)  # type: ignore[union-attr]
            self.hide()

    def _item(self) -> MethodItem | None:
        methods = () if self._state.answer.model is None else self._state.answer.model.methods
        name = self._name or self._state.request.method
        return next((m for m in methods if m.name == name), None)

    def _fill(self) -> None:
        item = self._item()
        if item is None:
            self.give_up()
            return
        self.title.set_text(item.title)
        self.family.set_text(family_words(item))
        self.unsuitable.setText(f"Not for this model: {item.unsuitable}" if item.unsuitable else "")
        self.unsuitable.setVisible(bool(item.unsuitable))
        checks = self._checks(item)
        for sentence, text in (
            (self.shows, item.shows), (self.cost, cost_words(item)), (self.caution, item.caution),
            (self.paper, item.paper), (self.checked, check_words(checks)),
        ):  # fmt: skip
            sentence.setText(text)
        for above, sentence in self._parts:
            above.setVisible(bool(sentence.text()))
            sentence.setVisible(bool(sentence.text()))
        self._offer(item, checks)
        self.setFixedWidth(WIDTH)
        self._column.invalidate()
        height = self._column.totalHeightForWidth(WIDTH)
        room = self.window().height()
        self.resize(WIDTH, height)
        top = max(_GAP, min(self._anchor.top() - 10, room - height - 40))
        self.move(self._place(top, height))

    def _place(self, top: int, height: int) -> QPoint:
        """Beside the chooser, or at the other edge of the views if that covers less; kept for one map."""
        sides = (self._stage.right() - WIDTH - _GAP, self._stage.left() + _GAP)
        near, far = (QPoint(left, top) for left in sides)
        if self._over is not self._state.shown:
            self._over = self._state.shown
            covers = [self._evidence(QRect(at, QSize(WIDTH, height))) for at in (near, far)]
            self._left = covers[1] < covers[0]
        return far if self._left else near

    def _checks(self, item: MethodItem) -> Sequence[PeerCheck]:
        """What is known of the drawn map, where it is one of this method."""
        return self._state.answer.checks if self._drawn_by(item) else ()

    def _drawn_by(self, item: MethodItem) -> bool:
        drawn = self._state.finished
        return drawn is not None and drawn.explainer.name == item.name

    def _offer(self, item: MethodItem, checks: Sequence[PeerCheck]) -> None:
        """The check of the drawn map, while nothing is known of it, or what ends one that goes on."""
        checking = self._state.answer.checking
        self.check.quiet_part = "Checking with the library…  " if checking else ""
        self.check.setText("Cancel" if checking else CHECK)
        self.check.setEnabled(checking or not self._state.shell.under_way)
        self.check.setVisible(self._drawn_by(item) and not checks and self._name is None)
        self.meant.setVisible(any(check.difference is not None for check in checks))

    def _ask(self) -> None:
        asked = self.cancel_requested if self._state.answer.checking else self.check_requested
        asked.emit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Esc closes it, and so does a press beside it, though not one on the open list of methods."""
        kind = event.type()
        if isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Escape:
            asked = isinstance(watched, QWidget) and watched.window() is self.window()
            if asked and QApplication.activePopupWidget() is None:
                if kind == QEvent.Type.ShortcutOverride:  # else the shortcut of the same key has it
                    event.accept()
                    return True
                if kind == QEvent.Type.KeyPress:
                    self.give_up()
                    return True
        elif kind == QEvent.Type.MouseButtonPress and isinstance(event, QMouseEvent):
            here = QRect(self.mapToGlobal(QPoint(0, 0)), self.size())
            beside = not here.contains(event.globalPosition().toPoint())
            ours = isinstance(watched, QWidget) and watched.window() is self.window()
            if ours and beside and not watched.property("opens-card"):
                self.give_up()
        return False


def _drawn(state: ViewState) -> tuple[object, ...]:
    """What of a state the card depends on."""
    answer = state.answer
    busy = bool(state.shell.under_way)
    return answer.model, state.request.method, state.finished, answer.checks, answer.checking, busy


def check_words(checks: Sequence[PeerCheck]) -> str:
    """What the libraries say of the drawn map; target, slice and layer stand beside it already."""
    return "\n\n".join(replace(check, label=None, slice=None, layer=None).words for check in checks)


def family_words(item: MethodItem) -> str:
    """The family, and what kind of values its maps have."""
    facts = [item.family.capitalize() if item.family.islower() else item.family]
    if item.unit:
        facts.append(f"values in {item.unit}, {'both signs' if item.signed else 'positive'}")
    if not item.target_dependent:
        facts.append(f"the {SAME_FOR_ALL}")
    return " · ".join(facts)


def cost_words(item: MethodItem) -> str:
    """Passes through the network, in words."""
    forwards, _, backwards = item.cost.partition("; ")
    parts = [f"Forward: {forwards}." if forwards else ""]
    parts.append(f"Backward: {backwards}." if backwards and backwards != "0" else "")
    return " ".join(part for part in parts if part)
