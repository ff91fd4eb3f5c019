# SPDX-License-Identifier: Apache-2.0
"""What was computed once: a store bounded in bytes, and a memo of what belongs to one object."""

import threading
import weakref
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar, cast

from cachetools import LRUCache
from numpy.typing import NDArray

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Known = TypeVar("Known")


class Cache(Generic[Key, Value]):
    """Values by key within a bound of bytes: beyond it those go that were not asked for the longest.

    Any thread may ask. A value larger than the whole bound is not kept; with `latest` it is, alone, until
    the next one comes, for those who must find what they have just put.
    """

    def __init__(self, room: int, latest: bool = False) -> None:
        self._latest = latest
        self._lock = threading.RLock()
        self._found: LRUCache[Key, tuple[Value, int]] = LRUCache(room, getsizeof=lambda pair: pair[1])

    @property
    def room(self) -> int:
        """The bound in bytes."""
        return int(self._found.maxsize)

    @property
    def used(self) -> int:
        """Bytes of what is kept; what is larger than the bound counts as much as that."""
        with self._lock:
            return int(self._found.currsize)

    def __len__(self) -> int:
        with self._lock:
            return len(self._found)

    def get(self, key: Key) -> Value | None:
        """What was put under a key, if it is still kept; it is then the one asked for last."""
        with self._lock:
            found = self._found.get(key)
            return None if found is None else found[0]

    def put(self, key: Key, value: Value, size: int) -> None:
        """Keep a value of so many bytes, in place of what was under the key."""
        with self._lock:
            self._found.pop(key, None)
            if size <= self.room or self._latest:
                self._found[key] = value, min(size, self.room)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._found.clear()


class ArrayCache(Generic[Value]):
    """What was computed from arrays. An array is told by itself, and is not kept alive by this."""

    def __init__(self, room: int) -> None:
        self._kept: Cache[Hashable, tuple[weakref.ref[NDArray[Any]], Value]] = Cache(room, latest=True)

    def get(self, source: NDArray[Any], how: Hashable, make: Callable[[], tuple[Value, int]]) -> Value:
        """What `make` gave for a source and a manner, a value and its bytes: kept, or made now."""
        key = (id(source), how)
        found = self._kept.get(key)
        # A number that an array had may come again after its end: the reference tells them apart.
        if found is not None and found[0]() is source:
            return found[1]
        value, size = make()
        self._kept.put(key, (weakref.ref(source), value), size)
        return value


class Memo:
    """What was found out about one object, by name: each once, and no longer than the object lives.

    Two threads that ask at the same time may both find it out; both are given what came first.
    """

    def __init__(self) -> None:
        self._found: dict[Hashable, Any] = {}

    def get(self, name: Hashable, find: Callable[[], Known]) -> Known:
        """What is known by this name; what `find` raises is raised, and asked for again the next time."""
        if name not in self._found:
            self._found.setdefault(name, find())
        return cast(Known, self._found[name])
