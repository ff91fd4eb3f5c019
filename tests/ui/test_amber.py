# SPDX-License-Identifier: Apache-2.0
"""Amber is a warning and nothing else: the modules that may use it are named, each with what it warns of."""

import ast
import re

import pytest
from sources import ROOT, named, sources

from viewer.ui.widgets.theme import DARK, LIGHT

MAY_WARN = {
    "viewer/export/drawing.py": "the colour itself",
    "viewer/export/panel.py": "what a reader must know of the map",
    "viewer/export/picture.py": "the same, and the sentence of research use",
    "viewer/ui/panels/bars.py": "the sentence of research use",
    "viewer/ui/panels/message_bar.py": "messages that warn",
    "viewer/ui/panels/export.py": "files that will name the patient",
    "viewer/ui/panels/keys.py": "a key that cannot be given",
    "viewer/ui/panels/method_card.py": "when not to believe a method",
    "viewer/ui/panels/not_opened.py": "files that were not opened",
    "viewer/ui/panels/points.py": "a moment that lacks slices",
    "viewer/ui/panels/prediction.py": "outputs that cannot be what the card says",
    "viewer/ui/panels/series_rows.py": "warnings of a series",
    "viewer/ui/presenter/companions.py": "a message that warns",
    "viewer/ui/presenter/loading.py": "what is odd about a model that was opened",
    "viewer/ui/presenter/preferences.py": "a message that warns",
    "viewer/ui/presenter/presenter.py": "a message that warns",
    "viewer/ui/presenter/slices.py": "a message that warns",
    "viewer/ui/presenter/store.py": "a message that warns",
    "viewer/ui/presenter/studies.py": "a message that warns",
    "viewer/ui/state/messages.py": "which messages go first",
    "viewer/ui/state/shell.py": "the kinds of messages",
    "viewer/ui/views/captions.py": "remarks on a map or an image",
    "viewer/ui/views/compare_grid.py": "a strongest fifth that does not speak for its label",
    "viewer/ui/views/contact_sheet_grid.py": "outputs that cannot be what the card says",
    "viewer/ui/widgets/icons.py": "the sign of a warning",
    "viewer/ui/widgets/parts.py": "the kinds of text",
    "viewer/ui/widgets/theme.py": "the colour itself",
}
"""A module that is missing here warns of something new: name what, or use the accent for what is chosen."""


def warns(text: str) -> bool:
    """Whether a module uses the colour of warnings."""
    return any(
        (isinstance(node, ast.Constant) and node.value == "warning")
        or (isinstance(node, ast.Attribute) and node.attr == "warning" and not _own(node))
        or (isinstance(node, ast.Name) and node.id == "WARNING")
        for node in ast.walk(ast.parse(text))
    ) or any(palette.warning in text for palette in (DARK, LIGHT))


def _own(node: ast.Attribute) -> bool:
    """Whether it is a widget of that name, not the colour."""
    return isinstance(node.value, ast.Name) and node.value.id == "self"


def test_amber_is_used_where_something_is_warned_of() -> None:
    texts = {named(path): path.read_text("utf-8") for path in sources("viewer/ui", "viewer/export")}
    assert {name for name, text in texts.items() if warns(text)} == set(MAY_WARN)


def test_the_style_sheet_uses_it_for_warnings_alone() -> None:
    sheet = (ROOT / "resources" / "style.qss").read_text("utf-8")
    rules = re.findall(r"([^{}]*)\{([^}]*)\}", sheet)
    assert [name.strip() for name, body in rules if "%warning%" in body and "warning" not in name] == []
    assert not any(palette.warning in sheet for palette in (DARK, LIGHT))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("painter.setPen(look.warning)", True),
        ("line = (words, 'warning')", True),
        ("write(draw, WARNING)", True),
        ("self.warning.hide()", False),
        ("line = (words, 'accent')  # no warning", False),
        (f"tone = '{DARK.warning}'", True),
    ],
)
def test_a_use_is_noticed(text: str, found: bool) -> None:
    assert warns(text) == found
