# SPDX-License-Identifier: Apache-2.0
"""Starting the engine, on the model's worker, so that the window notices as little as can be."""

import os
import sys
import threading
from contextlib import suppress
from importlib import import_module

from viewer.ui import garbage

_NICE = 5
"""How far the engine stands back from the window."""


def start() -> None:
    """Import torch and all that stands on it, once; more calls do nothing."""
    if "torch" in sys.modules:
        return
    with garbage.put_off():  # a third of a million objects come, all of them to stay
        from viewer import session

        session.first_dry_run()
    session.leave_one_core()
    _stand_back()


def bring(*packages: str) -> None:
    """Import packages that take seconds, once; what is missing, whoever wants it says in words of its own."""
    new = [package for package in packages if package not in sys.modules]
    if not new:
        return
    with garbage.put_off():
        for package in new:
            with suppress(ImportError):
                import_module(package)


def _stand_back() -> None:
    """Let the window have a processor first.

    Only after the import, for which the window has to wait. The engine's own threads, which this one
    starts later, inherit it. Only Linux knows priorities of threads by this call.
    """
    if sys.platform.startswith("linux"):
        thread = threading.get_native_id()
        now = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, min(now + _NICE, 19))
