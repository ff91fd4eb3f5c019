# SPDX-License-Identifier: Apache-2.0
"""Opening a model for the window, on the model's worker."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from viewer.errors import ModelError, UntrustedError
from viewer.settings import MIB, Settings, Trusted
from viewer.task import ENGINE, LOADING, METHODS, OPENING, READING, TRYING, Progress, Task
from viewer.ui import engine
from viewer.ui.presenter.store import Store
from viewer.ui.state import BroughtCode, Busy, MethodItem, ModelItem, Notice
from viewer.wording import bytes_text, time_text

if TYPE_CHECKING:
    from viewer.models import Model

_FACTS = ("target_dependent", "caution", "paper", "unit", "signed", "library")
"""Of a method, those that a broken one does not tell."""


_LONGEST = 4_000_000
"""Bytes of a program that can be shown; nobody reads more."""
_OBSERVED, _WORTH = 0.5, 2.0
"""Seconds after which what is left of a phase can be estimated, and from which on that is worth saying."""


class OpeningProgress:
    """Shows of a model that is opened which phases are done, and how far the present one is.

    The time left is that of the phase, and only of one whose steps are counted and alike: no other can be
    estimated, nor can the whole.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._phase, self._began = "", 0.0

    def show(self, step: Progress) -> None:
        """A phase has begun, or has come so far; what is none of the phases goes on within one."""
        if step.doing not in OPENING:
            return
        if step.doing != self._phase:
            self._phase, self._began = step.doing, monotonic()
        counted = step.total > 0 and step.doing in (READING, LOADING, TRYING)
        self._store.show(
            loading=Busy(
                "opening the model", OPENING.index(step.doing), len(OPENING),
                min(step.done / step.total, 1.0) if counted else 0.0,
                step.doing, self._detail(step, monotonic() - self._began) if counted else "",
            )
        )  # fmt: skip

    @staticmethod
    def _detail(step: Progress, seconds: float) -> str:
        """How much of a counted phase is done, and how long it still takes once that can be told."""
        if step.doing == TRYING:
            words = [f"run {min(step.done + 1, step.total)} of {step.total}"]
        else:
            words = [f"{bytes_text(step.done)} of {bytes_text(step.total)}"] if step.total >= MIB else []
        left = seconds * (step.total - step.done) / step.done if step.done else 0.0
        if seconds >= _OBSERVED and left >= _WORTH:
            words.append(f"about {time_text(left)} left")
        return ", ".join(words)


@dataclass(frozen=True)
class Question:
    """Whether a model's own program may run: in words, for which bytes, and the program to be read."""

    notice: Notice
    decides: Trusted
    code: BroughtCode | None
    """None for a program that is no text."""


def loaded(
    path: Path, trust: bool, settings: Settings, trusted: Collection[Trusted], task: Task | None = None
) -> "tuple[Model, ModelItem] | Question":
    """A model and what the window shows of it, or the question whether its own program may run."""
    task = task or Task()
    task.progress(0, 0, ENGINE)
    engine.start()
    from viewer import session

    try:
        model = session.load_model(path, trust, settings, trusted, task)
    except UntrustedError as error:
        return _question(error)
    model.try_out(task)
    model.find_layers(task)
    task.progress(0, 0, METHODS)
    hints = session.setting_types()
    return model, _model_item(
        model, session.describe(model), session.suggest(model), session.stages(model), hints
    )


def _question(error: UntrustedError) -> Question:
    code = _text_of(error) if error.path.suffix == ".py" else None
    text = f"{error.question(error.path, error.code)}; {error.advice(error.path)} first."
    other, wish = ("Show the code", "show-code") if code is not None else (None, None)
    notice = Notice(text, "stop", "Trust and run it", "trust", True, other, wish, "question")
    return Question(notice, Trusted(error.code, error.weights), code)


def _text_of(error: UntrustedError) -> BroughtCode | None:
    """The very bytes that were hashed as text, with all that a reader could not see written out."""
    try:
        with error.path.open("rb") as file:
            content = file.read(_LONGEST + 1)
    except OSError:
        raise ModelError(f"The program {error.path.name} cannot be read any more.") from None
    if len(content) > _LONGEST:
        return None
    if hashlib.sha256(content).hexdigest() != error.code:
        raise ModelError(f"The program {error.path.name} changed while it was read; open the model again.")
    text = content.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    seen = "".join(c if c.isprintable() or c in "\n\t" else f"\\u{ord(c):04x}" for c in text)
    return BroughtCode(error.model, str(error.path), error.code, seen)


def _model_item(
    model: Any,
    described: Sequence[Mapping[str, Any]],
    layers: Sequence[str],
    stages: Sequence[str],
    hints: Mapping[str, Mapping[str, Any]],
) -> ModelItem:
    methods = tuple(
        MethodItem(
            d["name"], d["title"], d["family"], d["shows"],
            "; ".join(filter(None, (d.get("cost") or {}).values())), d["settings"], d["unsuitable"],
            hints.get(d["name"], {}),
            **{fact: d[fact] for fact in _FACTS if fact in d},
        )
        for d in described
    )  # fmt: skip
    doubt = model.tried.implausible
    remarks = (*model.remarks, *(() if doubt is None else (doubt,)))
    patch = model.card.input.size if model.card.input.fit == "patch" else None
    return ModelItem(
        model.name, model.sha256, model.device_name, model.labels, tuple(layers), methods,
        model.card.input.dimensions == 3, tuple(stages), patch, remarks,
    )  # fmt: skip


def said_of(item: ModelItem, remembered: bool) -> Notice | None:
    """What is said of a model that has been opened: that its program runs, and what was found."""
    program = f"{item.name} runs a program of its own, which you trusted before and which has not changed."
    said = " ".join((*([program] if remembered else []), *item.remarks))
    return Notice(said, "warning" if item.remarks else "info", stays=True, about="model") if said else None
