# SPDX-License-Identifier: Apache-2.0
"""The rows of the series list: their model, and how they are drawn."""

import re
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QPersistentModelIndex,
    QRectF,
    QSize,
    Qt,
)
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetrics,
    QPainter,
    QPainterPath,
    QPen,
    QPixmap,
)
from PySide6.QtWidgets import (
    QStyledItemDelegate,
    QStyleOptionViewItem,
)

from viewer.ui.panels.stacks import Entry, entries
from viewer.ui.state import SeriesItem
from viewer.ui.views.captions import point_name
from viewer.ui.widgets.icons import draw_icon
from viewer.ui.widgets.parts import colours, image, wrapped
from viewer.wording import clean

if TYPE_CHECKING:
    from viewer.ui.panels.series import SeriesList

STRIP, WIDE = 56, 240
"""Width of the panel with thumbnails only, and with all."""
_PICTURE, _SMALL_PICTURE = 56, 40
_LINE = 18
_TEXT_LEFT, _TEXT_RIGHT = 7 + _PICTURE + 9, 5
_INDENT = 18
"""Of a warning, for its sign."""
_MOST_LINES = 3
"""Of a warning in the list."""
_MOST_KEPT = 512
"""Rows of which the delegate keeps what it prepared."""
_Paragraphs = list[tuple[list[str], str, bool]]
"""Lines, the role of their colour, and whether they are bold."""
Index = QModelIndex | QPersistentModelIndex
_ITEM = Qt.ItemDataRole.UserRole
_ENTRY = Qt.ItemDataRole.UserRole + 1
_POINT = 24
"""Height of the row of a point."""


def gist(warning: str) -> str:
    """What a warning says, without what follows from it."""
    return re.split(r"; |, so ", warning)[0].removesuffix(".")


class SeriesModel(QAbstractListModel):
    """The items of the state as Qt's views want them."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: tuple[Entry, ...] = ()

    def put(self, items: tuple[SeriesItem, ...], narrow: bool = False) -> None:
        """Other items: only those that differ are redrawn, and a list that grows stays scrolled as it was."""
        old, new = self.entries, entries(items, narrow)
        rows = [(e.kind, e.numbers) for e in new]
        if [(e.kind, e.numbers) for e in old] != rows[: len(old)]:
            self.beginResetModel()
            self.entries = new
            self.endResetModel()
            return
        if len(old) < len(new):
            self.beginInsertRows(QModelIndex(), len(old), len(new) - 1)
            self.entries = new
            self.endInsertRows()
        self.entries = new
        for place, (one, other) in enumerate(zip(old, new, strict=False)):
            before, after = one.item, other.item
            if before is not after:
                worded = (before.title, before.facts, before.overlaid, before.warnings)
                picture = worded == (after.title, after.facts, after.overlaid, after.warnings)
                roles = [Qt.ItemDataRole.DecorationRole] if picture else []
                self.dataChanged.emit(self.index(place), self.index(place), roles)

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.entries)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        entry = self.entries[index.row()]
        item = entry.item
        if role == _ITEM:
            return item
        if role == _ENTRY:
            return entry
        if role == Qt.ItemDataRole.DisplayRole:
            return clean(item.title)
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            facts = (clean(fact) for fact in (*item.facts, *item.overlaid))
            return "\n".join([clean(item.title), *facts, *(f"⚠ {w}" for w in item.warnings)])
        return None


class SeriesDelegate(QStyledItemDelegate):
    """Draws a row: thumbnail, title, facts, amber warnings."""

    def __init__(self, view: "SeriesList") -> None:
        super().__init__(view)
        self._view = view
        self._pictures: dict[int, tuple[SeriesItem, QPixmap]] = {}
        self._broken: dict[tuple[object, ...], _Paragraphs] = {}

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        if self._view.narrow:
            return QSize(_SMALL_PICTURE + 8, _SMALL_PICTURE + 8)
        if index.data(_ENTRY).kind == "point":
            return QSize(60, _POINT)
        item: SeriesItem = index.data(_ITEM)
        room = self._view.viewport().width() - _TEXT_LEFT - _TEXT_RIGHT
        lines = sum(len(lines) for lines, _, _ in self._paragraphs(item, room))
        return QSize(60, max(_PICTURE, lines * _LINE) + 15)

    def _paragraphs(self, item: SeriesItem, room: int) -> _Paragraphs:
        """Title, facts and warnings in lines of `room` pixels; Qt asks for all with every thumbnail."""
        key = (item.title, item.facts, item.overlaid, item.warnings, room, self._view.font().key())
        if key not in self._broken:
            if len(self._broken) > _MOST_KEPT:
                self._broken.clear()
            self._broken[key] = self._break(item, room)
        return self._broken[key]

    def _break(self, item: SeriesItem, room: int) -> _Paragraphs:
        plain, bold = self._view.font(), QFont(self._view.font())
        bold.setWeight(QFont.Weight.DemiBold)
        metrics = QFontMetrics(plain)
        title = wrapped(item.title or "untitled", QFontMetrics(bold), room, 2)
        return [
            (title, "text", True),
            *((wrapped(fact, metrics, room, 2), "quiet", False) for fact in (*item.facts, *item.overlaid)),
            *((lines, "warning", False) for lines in self._warnings(item, metrics, room - _INDENT)),
        ]

    @staticmethod
    def _warnings(item: SeriesItem, metrics: QFontMetrics, room: int) -> list[list[str]]:
        """What the first one says, and how many more there are; the tool tip has all in full."""
        if not item.warnings:
            return []
        lines = wrapped(gist(item.warnings[0]), metrics, room, _MOST_LINES, Qt.TextElideMode.ElideRight)
        more = len(item.warnings) - 1
        return [[*lines, f"and {more} more"] if more else lines]

    def _picture(self, item: SeriesItem, size: int, ratio: float) -> QPixmap | None:
        if item.thumbnail is None:
            return None
        kept = self._pictures.get(id(item.thumbnail))
        if kept is None or kept[0].thumbnail is not item.thumbnail:
            if len(self._pictures) > _MOST_KEPT:
                self._pictures.clear()
            kept = self._pictures[id(item.thumbnail)] = (item, QPixmap.fromImage(image(item.thumbnail)))
        scaled = kept[1].scaled(
            round(size * ratio),
            round(size * ratio),
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
        scaled.setDevicePixelRatio(ratio)
        return scaled

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        item: SeriesItem = index.data(_ITEM)
        view, look = self._view, colours()
        chosen = index.row() == view.currentIndex().row()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(option.rect).adjusted(0.5, 1.5, -0.5, -1.5)
        if chosen:
            painter.setBrush(QColor(look.chosen))
            width = 2.0 if view.hasFocus() else 1.0
            painter.setPen(QPen(QColor(look.accent), width))
            painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        elif index.row() == view.under:
            painter.setBrush(QColor(look.chosen))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.drawRoundedRect(box, 6, 6)
        if index.data(_ENTRY).kind == "point":
            self._draw_point(painter, item, box, chosen)
            painter.restore()
            return
        size = _SMALL_PICTURE if view.narrow else _PICTURE
        frame = QRectF(
            box.left() + (box.width() - size) / 2 if view.narrow else box.left() + 7, 0, size, size
        )
        frame.moveTop(box.center().y() - size / 2 if view.narrow else box.top() + 6)
        self._draw_picture(painter, item, frame)
        if not view.narrow:
            self._draw_text(
                painter, item, QRectF(option.rect).adjusted(_TEXT_LEFT, 7, -_TEXT_RIGHT, -6), chosen
            )
        elif item.warnings:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(look.panel))
            badge = QRectF(frame.right() - 13, frame.bottom() - 13, 16, 16)
            painter.drawRoundedRect(badge, 5, 5)
            draw_icon(painter, "warning", badge.adjusted(2, 2, -2, -2), QColor(look.warning))
        painter.restore()

    def _draw_picture(self, painter: QPainter, item: SeriesItem, frame: QRectF) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colours().images))
        painter.drawRoundedRect(frame, 4, 4)
        picture = self._picture(item, round(frame.width()), self._view.devicePixelRatioF())
        if picture is None:
            painter.setPen(QColor(colours().quiet))
            painter.drawText(frame, Qt.AlignmentFlag.AlignCenter, "…")
            return
        clip = QPainterPath()
        clip.addRoundedRect(frame, 4, 4)
        painter.save()
        painter.setClipPath(clip)
        at = QRectF(0, 0, *picture.deviceIndependentSize().toTuple())
        at.moveCenter(frame.center())
        painter.drawPixmap(at.topLeft(), picture)
        painter.restore()

    def _draw_point(self, painter: QPainter, item: SeriesItem, box: QRectF, chosen: bool) -> None:
        """One line with the name of a point, and a sign where it is not complete."""
        look, part = colours(), item.part
        assert part is not None
        room = box.adjusted(_TEXT_LEFT, 0, -_TEXT_RIGHT, 0)
        if not part.complete:
            sign = QRectF(room.right() - 13, box.center().y() - 6.5, 13, 13)
            draw_icon(painter, "warning", sign, QColor(look.warning))
            room.setRight(sign.left() - 4)
        words = painter.fontMetrics().elidedText(
            clean(point_name(part)), Qt.TextElideMode.ElideMiddle, int(room.width())
        )
        painter.setPen(QColor(look.accent if chosen else look.text))
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, words)

    def _draw_text(self, painter: QPainter, item: SeriesItem, box: QRectF, chosen: bool) -> None:
        look = colours()
        plain, bold = self._view.font(), QFont(self._view.font())
        bold.setWeight(QFont.Weight.DemiBold)
        y = box.top()
        for lines, role, strong in self._paragraphs(item, int(box.width())):
            indent = _INDENT if role == "warning" else 0
            if indent:
                sign = QRectF(box.left(), y + 2.5, 13, 13)
                draw_icon(painter, "warning", sign, QColor(look.warning))
            painter.setFont(bold if strong else plain)
            painter.setPen(QColor(look.accent if strong and chosen else getattr(look, role)))
            for line in lines:
                room = QRectF(box.left() + indent, y, box.width() - indent, _LINE)
                painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, line)
                y += _LINE
