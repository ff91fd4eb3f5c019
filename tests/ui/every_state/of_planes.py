# SPDX-License-Identifier: Apache-2.0
"""Checks of the three planes."""

import numpy as np

from every_state.seen import Seen, every, of
from viewer import affine, dicom, overlay
from viewer.dicom.volume import no_volume
from viewer.overlay import outline
from viewer.planes import ANATOMICAL
from viewer.planes.resample import graphics_on, resampled
from viewer.ui.state import Cut, Marked, PlanesState, Slab


@of(PlanesState, "of")
def _of(seen: Seen, planes: PlanesState) -> None:
    assert planes.of is seen.state.view.series


@of(PlanesState, "flat")
def _flat(seen: Seen, planes: PlanesState) -> None:
    if seen.series is not None:
        assert planes.flat == no_volume(seen.known.series(seen.series))


@of(PlanesState, "crosshair")
def _crosshair(seen: Seen, planes: PlanesState) -> None:
    assert not seen.state.three or planes.crosshair is not None
    if seen.state.three:
        at = affine.apply(affine.inverse(planes.of.geometry.matrix), planes.crosshair)
        assert min(max(round(float(at[0])), 0), planes.of.shape[0] - 1) == seen.state.view.slice


@of(PlanesState, "ways", "enlarged", "slab", "building")
def _ways(seen: Seen, planes: PlanesState) -> None:
    assert set(planes.ways) == set(ANATOMICAL)
    assert planes.enlarged is None or planes.enlarged in ANATOMICAL
    every(seen, planes.slab)
    assert planes.building is None or seen.state.three


@of(Slab, "thickness", "how")
def _slab(seen: Seen, slab: Slab) -> None:
    assert slab.thickness >= 0
    assert slab.how in ("mean", "max", "min")


@of(PlanesState, "cuts")
def _cuts(seen: Seen, planes: PlanesState) -> None:
    assert [cut.plane.name for cut in planes.cuts] in ([], list(ANATOMICAL))
    for cut in planes.cuts:
        every(seen, cut)


@of(Cut, "series", "slab", "plane")
def _cut_series(seen: Seen, cut: Cut) -> None:
    assert cut.series is seen.state.view.series
    assert cut.plane.thickness == cut.slab.thickness


@of(Cut, "values")
def _cut_values(seen: Seen, cut: Cut) -> None:
    volume = seen.known.volume(cut.series)
    wanted = seen.known.once(
        ("cut", cut.series.paths, id(cut.plane), cut.slab),
        lambda: (cut.plane, resampled(volume, cut.plane, cut.slab.how)),
    )[1]
    np.testing.assert_array_equal(cut.values, wanted)


@of(Cut, "of", "interpolation", "map", "remark")
def _cut_map(seen: Seen, cut: Cut) -> None:
    if cut.of is None:
        assert (cut.map, cut.remark) == (None, None)
        return
    assert cut.of.series is cut.series
    assert cut.remark == overlay.off_plane(cut.of, cut.plane)
    assert (cut.map is None) == (cut.remark is not None)
    if cut.map is not None:
        wanted = seen.known.once(
            ("cut map", id(cut.of), id(cut.plane), cut.interpolation),
            lambda: (cut.of, cut.plane, overlay.on_plane(cut.of, cut.plane, cut.interpolation)),
        )[2]
        np.testing.assert_array_equal(cut.map, wanted)


@of(Cut, "outlines")
def _cut_outlines(seen: Seen, cut: Cut) -> None:
    regions = seen.state.regions.regions
    if not cut.outlines:
        return  # they may not have been read when it was cut
    wanted = outline.on_plane(regions, cut.plane)
    assert [one.region for one in cut.outlines] == [one.region for one in wanted]
    for one, other in zip(cut.outlines, wanted, strict=True):
        np.testing.assert_array_equal(one.lines, other.lines)


@of(Cut, "graphics")
def _cut_graphics(seen: Seen, cut: Cut) -> None:
    if cut.graphics is None:
        return
    series, place = seen.known.series(cut.series), cut.plane.among(cut.series)
    assert place is not None
    wanted = graphics_on(
        dicom.graphics(series, round(place), seen.known.limits), round(place), cut.plane, series
    )
    np.testing.assert_array_equal(cut.graphics.shutter, wanted.shutter)


@of(PlanesState, "marked")
def _marked(seen: Seen, planes: PlanesState) -> None:
    assert not seen.state.three or planes.marked is not None
    if planes.marked is not None and seen.state.three:
        every(seen, planes.marked)


@of(Marked, "voxel", "value")
def _voxel(seen: Seen, marked: Marked) -> None:
    series = seen.state.view.series
    at = affine.apply(affine.inverse(series.geometry.matrix), seen.state.planes.crosshair)
    voxel = tuple(int(i) for i in np.clip(np.rint(at), 0, np.asarray(series.shape) - 1))
    assert marked.voxel == voxel
    wanted = float(seen.known.values(series, voxel[0])[voxel[1:]])
    assert marked.value in ("", f"{wanted:g} {series.display.unit}".strip())


@of(Marked, "map")
def _marked_map(seen: Seen, marked: Marked) -> None:
    map = seen.state.shown
    at = affine.apply(affine.inverse(seen.state.view.series.geometry.matrix), seen.state.planes.crosshair)
    found = None if map is None else overlay.native_value(map, at)
    assert marked.map == ("" if found is None else f"{found:+.3g}")
