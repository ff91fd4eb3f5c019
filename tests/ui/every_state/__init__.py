# SPDX-License-Identifier: Apache-2.0
"""Looks at every field of a state that was shown, and says what belongs to something else; see `seen`."""

from every_state import of_answer, of_planes, of_shell, of_views
from every_state.seen import CHECKS, Seen, consistent, every, follows

__all__ = [
    "CHECKS", "Seen", "consistent", "every", "follows", "of_answer", "of_planes", "of_shell", "of_views",
]  # fmt: skip
