# SPDX-License-Identifier: Apache-2.0
"""What the window has to say, as changes of its state: one message is shown, the others wait behind it."""

from typing import Any

from viewer.ui.state.shell import Notice, ShellState

Changes = dict[str, Any]
_ORDER = ("stop", "warning", "info")
"""Kinds of messages, the ones that are shown first first; of one kind the older goes first."""
_REPLY = "reply"


def _every(shell: ShellState) -> tuple[Notice, ...]:
    return () if shell.notice is None else (shell.notice, *shell.waiting)


def _urgency(notice: Notice) -> tuple[int, bool]:
    """Errors go before notes, and among these what the reader has asked for a moment ago."""
    return _ORDER.index(notice.kind), notice.about != _REPLY


def _put(shell: ShellState, notices: tuple[Notice, ...]) -> Changes:
    """These and no others; no change where they are the ones that there are."""
    return {} if notices == _every(shell) else {"notice": next(iter(notices), None), "waiting": notices[1:]}


def reply(text: str) -> Notice:
    """What is answered to a key or a click at once; the next answer takes its place."""
    return Notice(text, about=_REPLY)


def said(shell: ShellState, notice: Notice) -> Changes:
    """One more message, unless it is there already; of those about one matter only the last stays."""
    every = _every(shell)
    if notice in every:
        return {}
    kept = (one for one in every if not one.about or one.about != notice.about)
    return _put(shell, tuple(sorted((*kept, notice), key=_urgency)))


def unsaid(shell: ShellState, about: str) -> Changes:
    """None about this matter any more."""
    return _put(shell, tuple(one for one in _every(shell) if one.about != about))


def dismissed(shell: ShellState) -> Changes:
    """The next one, after the one that is shown."""
    return _put(shell, _every(shell)[1:])


def lasting(shell: ShellState, but: str = "") -> Changes:
    """Only those that stay whatever happens meanwhile, without the ones about a matter that is over."""
    return _put(shell, tuple(one for one in _every(shell) if one.stays and (not but or one.about != but)))
