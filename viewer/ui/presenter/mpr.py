# SPDX-License-Identifier: Apache-2.0
"""The three planes: where the crosshair is, and what lies on the planes through it.

Volumes are read and planes are cut by the worker for files. While one set of planes is being cut, the one
before stays; a slab that takes long is cut after its thin plane has been shown. A set that was cut for
another series, or for another map, is never shown as this one's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np

from viewer import affine, overlay, planes
from viewer.dicom import Graphics
from viewer.dicom.volume import Volume, no_volume, volume
from viewer.overlay import Interpolation, outline
from viewer.planes import Plane, Point
from viewer.planes.resample import graphics_on, lies_straight, resampled
from viewer.task import Progress, Task
from viewer.types import Map, Series
from viewer.ui.commands import Bindings
from viewer.ui.jobs import Jobs
from viewer.ui.presenter.slices import Scrolling
from viewer.ui.presenter.store import Store
from viewer.ui.state import Busy, Cut, Marked, Probed, Slab, ViewState, one_stack

_Alignment = Literal["patient", "acquired"]
_JOB, _THICK = "planes", "slabs"


class MPR:
    """Follows the state: whatever changes in it, crosshair and planes come to agree with it."""

    def __init__(self, store: Store, jobs: Jobs, slices: Scrolling) -> None:
        self._store = store
        self._jobs = jobs
        self._slices = slices
        self._series: Series | None = None
        self._volume: Volume | None = None
        self._asked: tuple[Any, ...] = ()

    @property
    def _state(self) -> ViewState:
        return self._store.state

    def commands(self) -> Bindings:
        """What keys and lists may ask of this part."""
        return {
            "patient-planes": partial(self.align, "patient"),
            "acquired-planes": partial(self.align, "acquired"),
        }

    # --- following --------------------------------------------------------------------------------

    def follows(self, state: ViewState) -> Mapping[str, Any]:
        """The crosshair and the planes of a state: they agree with its series and its slice."""
        changes: dict[str, Any] = {}
        series = state.view.series
        if series is not state.planes.of:
            flat = None if series is None else no_volume(series)
            changes = {"of": series, "flat": flat, "cuts": (), "marked": None, "building": None}
            if not one_stack(state.planes.of, series):
                changes |= {"crosshair": None, "enlarged": None, "ways": planes.ANATOMICAL}
            state = state.changed(**changes)
        if not state.three or series is None:
            return changes | {"building": None}
        crosshair = _on_slice(series, state.planes.crosshair, state.view.slice)
        if crosshair == state.planes.crosshair:
            crosshair = state.planes.crosshair
        marked = self._marked(series, crosshair, state.shown)
        if marked == state.planes.marked:
            marked = state.planes.marked
        return changes | {"crosshair": crosshair, "marked": marked}

    def ask(self, state: ViewState) -> None:
        """Cut the planes of a state that shows them."""
        if state.view.series is not self._series:
            self._leave(state.view.series)
        if state.three and state.planes.crosshair is not None:
            self._cut_if_needed(state, state.planes.crosshair)
        elif self._asked:
            self._stop()

    def _leave(self, series: Series | None) -> None:
        """Another series: nothing of the old one is cut or kept."""
        self._stop()
        self._series, self._volume = series, None

    def _stop(self) -> None:
        self._jobs.cancel(_JOB)
        self._jobs.cancel(_THICK)
        self._asked = ()

    def _cut_if_needed(self, state: ViewState, crosshair: Point) -> None:
        """Cut the planes that the state asks for, unless others are being cut: then when those are done."""
        series = state.view.series
        # What lies over a slice counts once that slice has been read.
        graphics = None if state.view.values is None else state.view.graphics
        asked = (
            series, crosshair, state.planes.ways, state.planes.slab, state.shown,
            state.views.style.interpolation, state.regions.regions, graphics,
        )  # fmt: skip
        same = len(self._asked) == len(asked) and all(
            a is b or a == b for a, b in zip(asked, self._asked, strict=True)
        )
        if series is None or self._jobs.active(_JOB):
            return
        if not same:
            self._jobs.cancel(_THICK)
            self._asked = asked
            self._cut_planes(state, crosshair, graphics)
        elif not self._jobs.active(_THICK) and any(
            cut.slab != state.planes.slab for cut in state.planes.cuts
        ):
            self._thicken(state)

    def _cut_planes(self, state: ViewState, crosshair: Point, graphics: Graphics | None) -> None:
        series, slab, slice = state.view.series, state.planes.slab, state.view.slice
        assert series is not None
        known, before, views, regions = (
            self._volume,
            state.planes.cuts,
            state.planes.ways,
            state.regions.regions,
        )
        shown, interpolation = state.shown, state.views.style.interpolation

        def work(task: Task) -> tuple[Volume, tuple[Cut, ...]]:
            voxels = known or volume(series, task)
            cuts = []
            for name in planes.ANATOMICAL:
                plane = planes.lying(series, name, views[name], crosshair)
                cut = _cut(voxels, plane, slab, before, task)
                cut = _mapped(cut, shown, interpolation, task)
                over = None if graphics is None else graphics_on(graphics, slice, cut.plane, series)
                cuts.append(replace(cut, outlines=outline.on_plane(regions, plane), graphics=over))
            return voxels, tuple(cuts)

        def done(found: tuple[Volume, tuple[Cut, ...]]) -> None:
            self._volume = found[0]
            self._store.show(cuts=found[1], building=None)

        self._jobs.run("io", _JOB, work, done, self._failed, self._progress)

    def _thicken(self, state: ViewState) -> None:
        """Put the slab in the place of each thin plane that was shown for it."""
        shown, slab, cuts, interpolation = (
            self._volume,
            state.planes.slab,
            state.planes.cuts,
            state.views.style.interpolation,
        )
        assert shown is not None

        def work(task: Task) -> tuple[Cut, ...]:
            return tuple(
                cut
                if cut.slab == slab
                else _mapped(_thick(shown, cut, slab, task), cut.of, interpolation, task)
                for cut in cuts
            )

        self._jobs.run("io", _THICK, work, lambda found: self._store.show(cuts=found), self._failed)

    def _failed(self, sentence: str) -> None:
        self._store.could_not(sentence, flat=sentence, building=None)

    def _progress(self, step: Progress) -> None:
        self._store.show(building=Busy(step.doing, step.done, step.total))

    # --- wishes -----------------------------------------------------------------------------------

    def mark(self, point: Point) -> None:
        """Move the crosshair to an LPS position, the nearest one in the volume; its slice is then shown."""
        series = self._state.view.series
        if series is None or not self._state.three:
            return
        point = planes.within(series, point)
        slice = _slice_at(series, point)
        self._store.note(crosshair=point)
        if slice != self._state.view.slice:
            self._slices.go_to(slice)
        else:
            self._store.show()

    def mark_strongest(self) -> None:
        """Move the crosshair to where the map is strongest on the shown slice, if one is drawn."""
        state = self._state
        if (
            not state.three
            or state.view.series is None
            or state.view.map is None
            or not np.isfinite(state.view.map).any()
        ):
            return
        row, column = divmod(int(np.nanargmax(state.view.map)), state.view.map.shape[1])
        x, y, z = affine.apply(state.view.series.geometry.matrix, (state.view.slice, row, column))
        self.mark((float(x), float(y), float(z)))

    def step(self, name: str, by: int) -> None:
        """Move a plane along its normal, so many layers of voxels away from the reader or towards them."""
        state, cut = self._state, self._cut(name)
        if cut is None or state.planes.crosshair is None:
            return
        way = cut.plane.normal * (cut.plane.step(cut.series) * by)
        x, y, z = (float(a + b) for a, b in zip(state.planes.crosshair, way, strict=True))
        self.mark((x, y, z))

    def turn(self, name: str, angle: float) -> None:
        """Turn the other two planes about the normal of one, by radians clockwise as it is seen."""
        if self._state.three:
            self._store.show(ways=planes.turned(self._state.planes.ways, name, angle))

    def align(self, how: _Alignment) -> None:
        """Lay the planes along the patient's axes, or one of them onto the slices as they were acquired."""
        series = self._state.view.series
        if series is not None and self._state.three:
            self._store.show(ways=planes.ANATOMICAL if how == "patient" else planes.acquired(series))

    def set_slab(self, slab: Slab) -> None:
        """Change how thick the planes are, and what is shown of that."""
        self._store.show(slab=slab)

    def enlarge(self, name: str) -> None:
        """Show one plane alone, or all three again."""
        self._store.show(enlarged=None if self._state.planes.enlarged == name else name)

    def point(self, name: str, row: float | None, column: float | None) -> None:
        """Say what lies under the pointer in one of the planes, from native values."""
        cut = self._cut(name)
        if cut is None or row is None or column is None:
            self._store.show(probed=None)
            return
        at = cut.plane.point(row, column)
        place = affine.apply(affine.inverse(cut.series.geometry.matrix), at)
        found = self._marked(cut.series, at, None)  # the map's value follows the map
        inside = all(affine.inside(i, n).all() for i, n in zip(place, cut.series.shape, strict=True))
        if not inside or self._volume is None:
            self._store.show(probed=None)
            return
        raw = str(self._volume.voxels[found.voxel]) if self._volume.voxels.dtype.kind in "iu" else ""
        slice, r, c = found.voxel
        self._store.show(probed=Probed(r, c, raw, found.value, "", slice))

    def _cut(self, name: str) -> Cut | None:
        return next((cut for cut in self._state.planes.cuts if cut.plane.name == name), None)

    def _marked(self, series: Series, point: Point, map: Map | None) -> Marked:
        """The voxel at an LPS position, with the native values of image and map."""
        place = affine.apply(affine.inverse(series.geometry.matrix), point)
        s, r, c = (int(i) for i in np.clip(np.rint(place), 0, np.asarray(series.shape) - 1))
        shown = self._volume
        value = ""
        if shown is not None and shown.series is series:
            number = float(shown.voxels[s, r, c]) * shown.slope + shown.intercept
            value = f"{number:g} {series.display.unit}".strip()
        seen = None if map is None or map.series is not series else overlay.native_value(map, place)
        return Marked((s, r, c), value, "" if seen is None else f"{seen:+.3g}")


def _on_slice(series: Series, crosshair: Point | None, slice: int) -> Point:
    """The crosshair where it lies on a slice, else moved along the stack to the middle of that slice."""
    if crosshair is not None and _slice_at(series, crosshair) == slice:
        return crosshair
    matrix = series.geometry.matrix
    place = np.array([slice, *(n // 2 for n in series.shape[1:])], np.float64)
    if crosshair is not None:
        place[1:] = affine.apply(affine.inverse(matrix), crosshair)[1:]
    x, y, z = (float(v) for v in affine.apply(matrix, place))
    return (x, y, z)


def _slice_at(series: Series, point: Point) -> int:
    place = float(affine.apply(affine.inverse(series.geometry.matrix), point)[0])
    return min(max(round(place), 0), series.shape[0] - 1)


def _cut(shown: Volume, plane: Plane, slab: Slab, before: Sequence[Cut], task: Task) -> Cut:
    """The image on one plane; one that has not moved since the last time is taken from there.

    A slab that lies askew in the voxels is cut thin: `_thick` follows.
    """
    wished = replace(plane, thickness=slab.thickness)
    kept = [cut for cut in before if cut.series is shown.series and _same(cut.plane, plane)]
    ready = next((cut for cut in kept if cut.slab == slab), None)
    if ready is not None:
        return ready
    if lies_straight(wished, shown.series):
        return Cut(wished, shown.series, slab, resampled(shown, wished, slab.how, task))
    thin = next((cut for cut in kept if cut.slab == Slab()), None)
    now = slab if slab.thickness == 0 else Slab()
    return thin or Cut(plane, shown.series, now, resampled(shown, plane, task=task))


def _thick(shown: Volume, cut: Cut, slab: Slab, task: Task) -> Cut:
    """The same cut as a slab, without its map."""
    plane = replace(cut.plane, thickness=slab.thickness)
    values = resampled(shown, plane, slab.how, task)
    return replace(cut, plane=plane, slab=slab, values=values, of=None, map=None, remark=None)


def _mapped(cut: Cut, shown: Map | None, interpolation: Interpolation, task: Task) -> Cut:
    """The same with a map, or with the reason why there is none of it."""
    if cut.of is shown and cut.interpolation == interpolation:
        return cut
    map, remark = None, None
    if shown is not None:
        remark = overlay.off_plane(shown, cut.plane)
        if remark is None:
            map = overlay.as_drawn(shown, overlay.on_plane(shown, cut.plane, interpolation, task))
    return replace(cut, of=shown, interpolation=interpolation, map=map, remark=remark)


def _same(plane: Plane, other: Plane) -> bool:
    """Whether two planes are one, but for their thickness."""
    near = plane.shape == other.shape and np.allclose(plane.matrix, other.matrix, rtol=0, atol=1e-6)
    return near and plane.name == other.name
