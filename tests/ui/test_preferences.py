# SPDX-License-Identifier: Apache-2.0
"""Preferences: what is kept, what a damaged file costs, and what is decided about keys and recent files."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from unittest.mock import create_autospec

import pytest

from viewer import demo
from viewer.errors import WhyscopeError
from viewer.settings import MIB, MOST_RECENT, Limits, Preferences, Recent, Trusted
from viewer.ui.commands import assigned
from viewer.ui.jobs import Jobs
from viewer.ui.presenter import preferences_schema
from viewer.ui.presenter.preferences import MOST_PATHS, ReaderPreferences
from viewer.ui.presenter.preferences_file import NAME, PreferencesFile, folder, read
from viewer.ui.presenter.store import Store, WindowView

CHOSEN = Preferences(
    colours="light",
    masked=False,
    rate=25,
    device="cpu",
    batch=4,
    slice_memory=512 * MIB,
    limits=Limits(rows=4096, decode_seconds=5),
    keys={"invert": ("X",), "mask": ()},
    studies=(Recent(("/a/b", "/a/c"), "2026-01-02 03:04"),),
    models=(Recent(("/m",), "2026-01-02 03:04"),),
    trusted=(Trusted("a" * 64, "b" * 64),),
)


@pytest.fixture
def file(tmp_path: Path) -> PreferencesFile:
    return PreferencesFile(tmp_path / "config" / NAME)


def test_what_is_saved_comes_back(file: PreferencesFile) -> None:
    assert file.load() == (Preferences(), None)
    file.save(CHOSEN)
    assert file.load() == (CHOSEN, None)
    assert [path.name for path in file.path.parent.iterdir()] == [NAME]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps rights in another way")
def test_nobody_else_may_read_it(file: PreferencesFile) -> None:
    file.save(CHOSEN)
    assert stat.S_IMODE(file.path.stat().st_mode) & 0o077 == 0


@pytest.mark.parametrize("text", ["", "{", "[]", "12", "\x00\xff", "[" * 100_000, '"' + "x" * 2**20 + '"'])
def test_a_damaged_file_costs_one_sentence(file: PreferencesFile, text: str) -> None:
    file.path.parent.mkdir()
    file.path.write_bytes(text.encode("latin-1"))
    preferences, sentence = file.load()
    assert preferences == Preferences()
    assert sentence is not None
    assert str(file.path) in sentence


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("colours", "pink"), ("masked", 1), ("remember", "no"), ("rate", 0), ("rate", 10.5), ("rate", True),
        ("device", "abacus"), ("batch", -3), ("batch", None), ("keys", []), ("keys", {"invert": [5]}),
        ("studies", [{"paths": "x"}]), ("models", [5]), ("models", None),
        ("trusted", [{"code": "a", "weights": "b"}]), ("trusted", [["a" * 64, "b" * 64]]),
        ("colours", []), ("device", {}), ("slice_memory", 0), ("slice_memory", "1G"), ("limits", []),
        ("limits", {"rows": 0}), ("limits", {"decode_memory": 1}), ("limits", {"bytes": 1e12}),
    ],
)  # fmt: skip
def test_one_wrong_value_costs_only_itself(name: str, value: object) -> None:
    preferences, wrong = read({"batch": 3, "rate": 20} | {name: value, "something": 1})
    assert wrong == [name]
    assert getattr(preferences, name) == getattr(Preferences(), name)
    assert preferences.batch == (3 if name != "batch" else Preferences().batch)


def test_unknown_keys_and_too_many_entries_are_left_out() -> None:
    assert read({"limits": {"rows": 100, "miles": 5}}) == (Preferences(limits=Limits(rows=100)), [])
    many = [{"paths": [f"/{i}"], "opened": "2026"} for i in range(40)]
    preferences, wrong = read({"keys": {"fly": ["F"], "invert": ["J"]}, "models": many})
    assert wrong == []
    assert preferences.keys == {"invert": ("J",)}
    assert len(preferences.models) == MOST_RECENT


OLD = """{
 "colours": "light",
 "masked": false,
 "remember": true,
 "rate": 25,
 "device": "cpu",
 "batch": 4,
 "slice_memory": 536870912,
 "limits": {
  "rows": 4096,
  "columns": 32768,
  "frames": 20000,
  "members": 200000,
  "bytes": 4294967296,
  "decode_seconds": 5,
  "decode_memory": 6442450944,
  "header_bytes": 67108864
 },
 "keys": {
  "invert": [
   "X"
  ],
  "mask": []
 },
 "studies": [
  {
   "paths": [
    "/a/b",
    "/a/c"
   ],
   "opened": "2026-01-02 03:04"
  }
 ],
 "models": [
  {
   "paths": [
    "/m"
   ],
   "opened": "2026-01-02 03:04"
  }
 ],
 "trusted": [
  {
   "code": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
   "weights": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
  }
 ]
}
"""
"""A file as version 0.1.0 wrote it."""


def test_a_file_of_the_first_version_is_read_and_written_as_it_was(file: PreferencesFile) -> None:
    file.path.parent.mkdir()
    file.path.write_text(OLD, "utf-8")
    assert file.load() == (CHOSEN, None)
    file.save(CHOSEN)
    assert file.path.read_text("utf-8") == OLD


def test_a_key_of_the_first_version_stays_with_what_the_reader_gave_it_to() -> None:
    """X was free then, and flips left and right by now."""
    preferences, wrong = read(json.loads(OLD))
    assert wrong == []
    keys = assigned(preferences.keys)
    assert (keys["invert"], keys["flip-sides"]) == (("X",), ())
    assert assigned({})["flip-sides"] == ("X",)


def test_a_name_of_a_file_that_is_no_unicode_is_kept(file: PreferencesFile) -> None:
    named = Preferences(studies=(Recent((os.fsdecode(b"/a/caf\xe9"),), "2026-01-02 03:04"),))
    file.save(named)
    assert file.load() == (named, None)


def test_every_preference_has_its_rule() -> None:
    assert list(preferences_schema.FIELDS) == [one.name for one in fields(Preferences)]
    assert read(json.loads(json.dumps(asdict(Preferences())))) == (Preferences(), [])


def test_several_wrong_values_are_all_named() -> None:
    wrong = {
        "trusted": [{}],
        "rate": 1000,
        "keys": {"invert": "J"},
        "studies": [{"paths": [""], "opened": "x"}],
    }
    assert read(wrong | {"batch": 3}) == (Preferences(batch=3), ["rate", "keys", "studies", "trusted"])


def test_no_file_costs_no_validator(tmp_path: Path) -> None:
    code = (
        "import sys; from viewer.ui.presenter.preferences_file import PreferencesFile\n"
        "PreferencesFile().load(); print('pydantic_core' in sys.modules, 'pydantic' in sys.modules)"
    )
    environment = os.environ | {"WHYSCOPE_CONFIG": str(tmp_path)}
    words = [sys.executable, "-c", code]
    told = [subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout.split()]
    (tmp_path / NAME).write_text(OLD, "utf-8")
    told.append(
        subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout.split()
    )
    assert told == [["False", "False"], ["True", "False"]]


def test_a_folder_that_takes_no_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("a file, no folder", "utf-8")
    with pytest.raises(WhyscopeError, match="could not be saved"):
        PreferencesFile(tmp_path / "config" / NAME).save(CHOSEN)


def test_the_environment_says_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WHYSCOPE_CONFIG", str(tmp_path))
    assert PreferencesFile().path == tmp_path / NAME
    monkeypatch.delenv("WHYSCOPE_CONFIG")
    assert folder().name == "whyscope"


@pytest.fixture
def store() -> Store:
    return Store(create_autospec(WindowView, instance=True))


@pytest.fixture
def jobs(qapp) -> Iterator[Jobs]:
    made = Jobs()
    yield made
    made.close()


@pytest.fixture
def reader(store: Store, jobs: Jobs, file: PreferencesFile) -> ReaderPreferences:
    return ReaderPreferences(store, jobs, Preferences(), file)


def test_a_change_is_shown_at_once_and_saved(
    reader: ReaderPreferences, store: Store, file, jobs, qtbot
) -> None:
    reader.prefer(colours="light")
    assert store.state.shell.preferences.colours == "light"
    qtbot.waitUntil(lambda: not jobs.busy)
    assert file.load()[0].colours == "light"


def test_what_the_worker_did_not_come_to_is_saved_at_the_end(reader: ReaderPreferences, file, jobs) -> None:
    for rate in range(2, 50):
        reader.prefer(rate=rate)
    jobs.close()
    reader.close()
    assert file.load()[0].rate == 49


def test_without_a_file_nothing_is_written(store: Store, jobs: Jobs, tmp_path: Path) -> None:
    made = ReaderPreferences(store, jobs, Preferences(), None)
    made.prefer(rate=3)
    assert made.now.rate == 3
    assert not jobs.busy


def test_a_disk_that_does_not_take_it_is_told_once(store: Store, jobs: Jobs, tmp_path: Path, qtbot) -> None:
    (tmp_path / "config").write_text("", "utf-8")
    made = ReaderPreferences(store, jobs, Preferences(), PreferencesFile(tmp_path / "config" / NAME))
    made.prefer(rate=3)
    qtbot.waitUntil(lambda: store.state.shell.notice is not None)
    assert "could not be saved" in store.state.shell.notice.text


def test_a_key_that_means_something_is_refused_by_name(reader: ReaderPreferences) -> None:
    assert reader.set_key("invert", "Down") == "Down already means “Next slice”."
    assert reader.now.keys == {}
    assert reader.set_key("invert", "J") is None
    assert reader.set_key("mask", "J") == "J already means “Invert the grey values”."
    assert reader.set_key("mask", "I") is None
    assert reader.default_key("invert") == "I already means “Mask the patient”."
    assert reader.set_key("mask", None) is None
    assert reader.default_key("invert") is None
    assert reader.now.keys == {"mask": ()}
    reader.default_keys()
    assert reader.now.keys == {}


def test_the_newest_is_first_and_ten_are_kept(reader: ReaderPreferences, tmp_path: Path) -> None:
    for i in range(14):
        reader.opened_study([tmp_path / str(i)])
    reader.opened_study([tmp_path / "9"])
    names = [Path(one.paths[0]).name for one in reader.now.studies]
    assert names == ["9", "13", "12", "11", "10", "8", "7", "6", "5", "4"]


def test_the_demo_and_large_heaps_are_not_remembered(reader: ReaderPreferences, tmp_path: Path) -> None:
    reader.opened_model(demo.models()["cnn"])
    reader.opened_study([tmp_path / str(i) for i in range(MOST_PATHS + 1)])
    assert (reader.now.models, reader.now.studies) == ((), ())


def test_a_reader_who_wants_nothing_remembered_has_nothing_left(
    reader: ReaderPreferences, tmp_path: Path
) -> None:
    reader.opened_study([tmp_path / "a"])
    reader.prefer(remember=False)
    assert reader.now.studies == ()
    reader.opened_study([tmp_path / "b"])
    assert reader.now.studies == ()


def test_what_is_no_longer_there_is_found_out(
    reader: ReaderPreferences, store: Store, tmp_path: Path, qtbot
) -> None:
    (tmp_path / "there").mkdir()
    reader.opened_study([tmp_path / "there"])
    reader.opened_model(tmp_path / "gone")
    qtbot.waitUntil(lambda: store.state.shell.missing == {str(tmp_path / "gone")})


def test_the_file_is_plain_json(file: PreferencesFile) -> None:
    file.save(CHOSEN)
    assert json.loads(file.path.read_text("utf-8"))["keys"] == {"invert": ["X"], "mask": []}
