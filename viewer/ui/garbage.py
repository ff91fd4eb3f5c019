# SPDX-License-Identifier: Apache-2.0
"""Python's search for garbage, put off while much comes that is to stay.

It looks through all objects in one piece and with Python's lock held: a third of a second for half a million,
again and again as they come, and the window waits for it.
"""

import atexit
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

MANY = 100_000
"""Objects that have come meanwhile from which on they are never looked through again."""


class _Waiting:
    """How many have put the search off; the first stops it, the last lets it go on."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0


_WAITING = _Waiting()


@contextmanager
def put_off() -> Iterator[None]:
    """While entered nothing is searched; of many objects that came, what is alive then stays out of reach.

    That is no leak: what is let go of is freed at once, as ever, unless it lies in a ring.
    """
    with _WAITING.lock:
        _WAITING.inside += 1
        gc.disable()
    try:
        yield
    finally:
        with _WAITING.lock:
            _WAITING.inside -= 1
            if not _WAITING.inside:
                if gc.get_count()[0] > MANY:
                    gc.freeze()
                    atexit.unregister(gc.unfreeze)
                    atexit.register(gc.unfreeze)  # at the end all is taken down, which libraries look after
                gc.enable()
