# SPDX-License-Identifier: Apache-2.0
"""Slices that have been read, kept within one bound for the whole program."""

import threading
from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewer.settings import Settings

Array = NDArray[Any]


class SliceMemory:
    """Values made of arrays, by owner and key; any thread may ask.

    Beyond `room` bytes those not asked for the longest go, of whatever owner, but never what is pinned
    or what came last. An array that lies in several values, or under a view, counts once.
    """

    def __init__(self, room: int) -> None:
        self._lock = threading.Lock()
        self._room = room
        self._used = 0
        self._kept: OrderedDict[tuple[Hashable, Hashable], tuple[Any, tuple[Array, ...]]] = OrderedDict()
        self._uses: dict[int, int] = {}
        self._pinned: dict[Hashable, Hashable] = {}
        self._gone: deque[Hashable] = deque()

    @property
    def room(self) -> int:
        """The bound in bytes."""
        return self._room

    @property
    def used(self) -> int:
        """Bytes of the arrays that are kept."""
        return self._used

    def resize(self, room: int) -> None:
        """Set the bound; what is beyond it goes at once."""
        with self._lock:
            self._room = room
            self._shrink()

    def get(self, owner: Hashable, key: Hashable) -> Any | None:
        """What was put under a key, if it is still kept."""
        with self._lock:
            found = self._kept.get((owner, key))
            if found is None:
                return None
            self._kept.move_to_end((owner, key))
            return found[0]

    def put(self, owner: Hashable, key: Hashable, value: Any, arrays: Iterable[Array]) -> None:
        """Keep a value and the arrays that it is made of."""
        roots = tuple({id(root): root for root in map(_root, arrays)}.values())
        with self._lock:
            while self._gone:
                self._drop_all(self._gone.popleft())
            if (owner, key) in self._kept:
                self._drop((owner, key))
            self._kept[owner, key] = value, roots
            for root in roots:
                uses = self._uses.get(id(root), 0)
                self._uses[id(root)] = uses + 1
                self._used += 0 if uses else root.nbytes
            self._shrink()

    def pin(self, owner: Hashable, key: Hashable) -> None:
        """Never let go of this one of an owner's values, kept already or to come; one at a time."""
        with self._lock:
            self._pinned[owner] = key

    def forget(self, owner: Hashable) -> None:
        """Let go of all that an owner has, pinned or not."""
        with self._lock:
            self._drop_all(owner)

    def leave(self, owner: Hashable) -> None:
        """As `forget`, with the next `put`: takes no lock, as the garbage collector may not."""
        self._gone.append(owner)

    def _shrink(self) -> None:
        last = next(reversed(self._kept), None)
        while self._used > self._room:
            loose = (k for k in self._kept if k != last and self._pinned.get(k[0]) != k[1])
            oldest = next(loose, None)
            if oldest is None:
                return
            self._drop(oldest)

    def _drop(self, key: tuple[Hashable, Hashable]) -> None:
        for root in self._kept.pop(key)[1]:
            self._uses[id(root)] -= 1
            if not self._uses[id(root)]:
                del self._uses[id(root)]
                self._used -= root.nbytes

    def _drop_all(self, owner: Hashable) -> None:
        self._pinned.pop(owner, None)
        for key in [k for k in self._kept if k[0] == owner]:
            self._drop(key)


def _root(array: Array) -> Array:
    """The array whose memory a view shows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


KEPT = SliceMemory(Settings().slice_memory)
"""The program's own: all series that are open share it."""
