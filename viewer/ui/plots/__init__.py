# SPDX-License-Identifier: Apache-2.0
"""Plots, drawn by pyqtgraph, which is imported when the first one is to be shown and not before.

This module knows nothing of it, so that what shows plots may import it at any time: `ready()` is to be asked
first, and the modules of this package imported where it says yes. Plots are as sober as the views: one
stroke, no grid, no mouse, an axis only where it has a unit to tell; see `style`.
"""

import threading
from functools import cache

from viewer.ui import garbage


def ready() -> bool:
    """Whether pyqtgraph has been imported; the first call has a thread begin with it.

    It takes a fifth of a second or more, for which the window would not answer.
    """
    return not _import().is_alive()


def coming() -> bool:
    """Whether it is being imported just now: a picture of the window had better wait."""
    return _import.cache_info().currsize > 0 and not ready()


@cache
def _import() -> threading.Thread:
    def work() -> None:
        with garbage.put_off():
            import viewer.ui.plots.profile  # noqa: F401

    thread = threading.Thread(target=work, name="import of pyqtgraph")
    thread.start()
    return thread
