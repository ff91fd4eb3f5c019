"""Make what the demo brings along: python scripts/demo/make.py studies|models|measure

`studies` writes the DICOM files (half a minute), `models` makes anatomies to learn from (ten minutes, kept
in `build/demo`) and trains the networks (a quarter of an hour on two cores), `measure` writes
`docs/demo-measured.md`.
"""

# ruff: noqa: T201
import argparse
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "resources" / "demo"
FOLDERS = {1: "1-nodule", 2: "2-clear"}
LEARN, UNSEEN = (0, 300), (5000, 60)
"""The first patient and how many, to learn from and to measure the networks on."""


def studies() -> None:
    """The phantom patients' folders, written anew."""
    from studies import PEOPLE, write_person

    for person in PEOPLE:
        folder = DEMO / "studies" / FOLDERS[person.number]
        shutil.rmtree(folder, ignore_errors=True)
        write_person(folder, person)
        print(folder.relative_to(ROOT))


def models(names: list[str]) -> None:
    """Train the named networks, or all."""
    import bank
    import torch
    import train

    torch.set_num_threads(1)  # more bring networks as small as these little
    banks = []
    for first, count in (LEARN, UNSEEN):
        kept = ROOT / "build" / "demo" / f"patients-{first}-{count}.npz"
        banks.append(bank.load(kept) if kept.exists() else bank.build(first, count, kept))
    for name in names or list(train.RECIPES):
        recipe = train.RECIPES[name]
        seen, unseen = (train.pictures(one, recipe) for one in banks)
        net = train.learn(recipe, seen, lambda text, name=name: print(name, text, flush=True))
        print(name, train.write(recipe, net, LEARN[1], unseen, DEMO / "models" / name)["measured"])


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
