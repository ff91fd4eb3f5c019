"""The rows of the series list, and what was not opened, as text."""

from viewer.dicom import UNKNOWN_PLACE, Arrival, Study
from viewer.export import without_identity
from viewer.types import Series
from viewer.ui.state import SeriesItem


def title(series: Series, masked: bool) -> str:
    """What a series is called; without its patient while that is masked."""
    words = series.description or series.modality
    return without_identity(words, series.identity) if masked else words


def row(series: Series, masked: bool) -> SeriesItem:
    """The row of a series of an open study."""
    slices, rows, columns = series.shape
    spacing = series.geometry.spacing
    size = f"{rows} × {columns}" if slices == 1 else f"{slices} slices"
    facts = [f"{series.modality} · {size}"]
    if spacing is not None and spacing[0] is not None:
        facts.append(f"{spacing[0]:.3g} mm" if series.geometry.volume else "slices uneven")
    return SeriesItem(title(series, masked), tuple(facts), series.warnings)


def growing_row(arrival: Arrival, masked: bool, shown: bool) -> SeriesItem:
    """The row of a series that is still being read; the place of the image that is shown is not known."""
    series = arrival.series
    so_far = "1 image so far" if arrival.images == 1 else f"{arrival.images} images so far"
    warnings = (UNKNOWN_PLACE,) if shown else ()
    return SeriesItem(title(series, masked), (f"{series.modality} · {so_far}",), warnings)


def not_opened(study: Study) -> tuple[tuple[str, str], ...]:
    """Name and reason of every file that shows nothing."""
    drawn = {one.path for one in study.segmentations}
    listed = (*study.refused, *study.other)
    return tuple((i.path.name, i.reason) for i in listed if not drawn or i.path.absolute() not in drawn)
