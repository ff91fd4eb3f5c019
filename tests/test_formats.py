# SPDX-License-Identifier: Apache-2.0
"""A format holds what it declares, and what is impossible for a series is skipped with its reason."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_maps import explain, predict, series, snapshot
from program import Whyscope, arrays_of, is_sentence
from typer.testing import CliRunner

from viewer.cli.program import app
from viewer.errors import ExportError
from viewer.export import FORMATS, RESULT, check_formats, export
from viewer.export.formats import BY_NAME, Format
from viewer.types import Series, Snapshot

REASON = "Images without a scanner's name cannot be written so."


class Tally(Format):
    """How many cells a map has; impossible for a series whose modality is in `refused`."""

    name = "tally"
    suffix = ".txt"
    title = "Number of cells (tally)"
    refused: tuple[str, ...] = ()

    def unsuitable(self, series: Series) -> str | None:
        return REASON if series.modality in self.refused else None

    def write(self, snapshot: Snapshot, folder: Path, stem: str) -> str:
        (folder / f"{stem}{self.suffix}").write_text(str(snapshot.overlay.map.values.size))
        return f"{stem}{self.suffix}"


@pytest.fixture
def tally(monkeypatch: pytest.MonkeyPatch) -> Tally:
    """A format more than the program has."""
    one = Tally()
    monkeypatch.setitem(BY_NAME, one.name, one)
    return one


@pytest.mark.parametrize("one", BY_NAME.values(), ids=BY_NAME)
@pytest.mark.parametrize("slice", [1, None], ids=["slice", "volume"])
def test_a_format_writes_the_file_that_it_names(one: Format, slice: int | None, tmp_path: Path) -> None:
    assert one.name == one.name.strip().lower()
    assert one.title.endswith(f"({one.name})")
    map = explain(predict(series(), slice))
    assert one.unsuitable(map.series) is None
    name = one.write(snapshot(map), tmp_path, "stem")
    assert name.endswith(one.suffix)
    # The one document follows when all other files are there.
    assert [path.name for path in tmp_path.iterdir()] == ([] if name == RESULT else [name])
    document = export([map], [], tmp_path / "all", (one.name,))
    (entry,) = document["attributions"]
    assert set(entry["files"]) == {one.name}
    assert {path.name for path in (tmp_path / "all").iterdir()} == {RESULT, entry["files"][one.name]}


def test_the_help_names_every_format() -> None:
    said = " ".join(CliRunner().invoke(app, ["explain", "--help"], env={"COLUMNS": "400"}).output.split())
    assert f"{', '.join(FORMATS)}." in said
    assert tuple(BY_NAME) == FORMATS == ("png", "npz", "json")


def test_a_format_that_is_plugged_in_is_written_with_the_others(tally: Tally, tmp_path: Path) -> None:
    map = explain(predict(series()))
    document = export([map], map.predictions, tmp_path, ("tally", "npz"))
    files = document["attributions"][0]["files"]
    assert list(files.items()) == [
        ("npz", "grad-cam_pneumonia_s1.npz"),
        ("tally", "grad-cam_pneumonia_s1.txt"),
    ]
    assert (tmp_path / files["tally"]).read_text() == "16"
    assert document["skipped"] == []


def test_what_is_impossible_is_skipped_with_its_reason_and_nothing_else_is_lost(
    tally: Tally, tmp_path: Path
) -> None:
    source = series()
    tally.refused = (source.modality,)
    maps = [explain(predict(source, i)) for i in range(2)]
    wishes: dict[str, Any] = {"refused": [("gates", "It has none.")]}
    asked = ("tiff", "png", "tally", "npz", "json")
    document = export(maps, [], tmp_path / "some", asked, **wishes)
    assert document.pop("skipped") == [
        {"format": "tiff", "reason": "not written by this version"},
        {"format": "tally", "reason": REASON},
        {"method": "gates", "reason": "It has none."},
    ]
    plain = export(maps, [], tmp_path / "all")
    plain.pop("skipped")
    assert document == plain
    every = {path.name for path in (tmp_path / "all").iterdir()}
    assert {path.name for path in (tmp_path / "some").iterdir()} == every
    assert len(every) == 5
    for name in every - {RESULT}:
        one, other = (tmp_path / folder / name for folder in ("some", "all"))
        if name.endswith(".npz"):
            found, wanted = arrays_of(one), arrays_of(other)
            assert set(found) == set(wanted)
            assert all(np.array_equal(found[key], wanted[key], equal_nan=key == "map") for key in wanted)
        else:
            assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("tally",), f"tally: {REASON.rstrip('.')}; choose from: png, npz, json."),
        (("tally", "sr", "tiff"), "sr, tiff is not written by this version; tally: Images"),
        ((), "no format was named; choose from: png, npz, json."),
    ],
)
def test_nothing_is_written_where_no_format_is_left(
    tally: Tally, asked: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    map = explain(predict(series()))
    tally.refused = (map.series.modality,)
    with pytest.raises(ExportError) as error:
        export([map], [], tmp_path / "out", asked)
    assert str(error.value).startswith(f"Nothing was written: {words}")
    assert not (tmp_path / "out").exists()
    if "tally" in asked:
        assert [one.name for one in check_formats(asked)[0]] == ["tally"]  # before a series is known


def test_the_command_ends_before_it_explains_where_nothing_can_be_written(
    tally: Tally,
    stack: Path,
    small_model: Path,
    tmp_path: Path,
    whyscope: Whyscope,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from viewer import session

    tally.refused = ("CT",)
    words = ("explain", stack, "--model", small_model, "--method", "grad-cam", "--out", tmp_path / "out")
    done = whyscope(*words, "--format", "tally,npz")
    assert (done.status, done.err) == (0, f"tally: {REASON}\n")
    assert [Path(line).suffix for line in done.out.split()] == [".npz", ".json"]
    monkeypatch.delattr(session, "explain")
    done = whyscope(*words[:-1], tmp_path / "none", "--format", "tally")
    assert (done.status, done.out) == (1, "")
    assert is_sentence(done.err)
    assert REASON.rstrip(".") in done.err
    assert not (tmp_path / "none").exists()
