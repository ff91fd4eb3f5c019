# SPDX-License-Identifier: Apache-2.0
"""Make what the demo brings along: python scripts/demo/make.py studies|models|measure

`studies` writes the DICOM files (half a minute), `models` makes anatomies to learn from (three minutes, kept
in `build/demo`) and trains the networks (seven minutes on two cores), `measure` writes
`docs/demo-measured.md`.
"""

# ruff: noqa: T201
import argparse
import shutil
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "resources" / "demo"
FOLDERS = {1: "1-nodule", 2: "2-clear"}
LEARN, UNSEEN = (0, 300), (5000, 60)
"""The first patient and how many, to learn from and to measure the networks on."""
ROWS = (("cnn", "vit"), ("cnn3d",))
"""What is trained side by side; the transformer begins with the blocks of the network before it."""


def studies() -> None:
    """The phantom patients' folders, written anew."""
    from studies import PEOPLE, write_person

    for person in PEOPLE:
        folder = DEMO / "studies" / FOLDERS[person.number]
        shutil.rmtree(folder, ignore_errors=True)
        write_person(folder, person)
        print(folder.relative_to(ROOT))


def models(names: list[str]) -> None:
    """Train the named networks, or all, two at a time."""
    import bank

    for patients in (LEARN, UNSEEN):
        if not _kept(*patients).exists():
            bank.build(*patients, _kept(*patients))
    rows = [[name for name in row if name in names or not names] for row in ROWS]
    with ProcessPoolExecutor(len(rows), mp_context=get_context("spawn")) as pool:
        list(pool.map(_train, rows))


def _kept(first: int, count: int) -> Path:
    return ROOT / "build" / "demo" / f"patients-{first}-{count}.npz"


def _train(names: list[str]) -> None:
    """Train these networks one after another."""
    import bank
    import torch
    import train

    torch.set_num_threads(1)  # more bring networks as small as these little
    banks = [bank.load(_kept(*patients)) for patients in (LEARN, UNSEEN)]
    for name in names:
        recipe = train.RECIPES[name]
        seen, unseen = (train.pictures(one, recipe) for one in banks)
        net = train.learn(recipe, seen, DEMO / "models", partial(print, name, flush=True))
        card = train.write(recipe, net, LEARN[1], unseen, DEMO / "models" / name)
        print(name, card["measured"], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["studies", "models", "measure"])
    parser.add_argument("name", nargs="*", help="networks to train, of cnn, vit and cnn3d")
    words = parser.parse_args()
    if words.what == "studies":
        studies()
    elif words.what == "models":
        models(words.name)
    else:
        from measure import measure

        measure(DEMO / "models", ROOT / "docs" / "demo-measured.md")


if __name__ == "__main__":
    main()
