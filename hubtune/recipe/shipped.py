"""The recipes that come with hubtune, and the descriptions of their data sets."""

import re
from dataclasses import dataclass
from pathlib import Path

import hubtune
from hubtune.errors import MachineError, UsageError, suggest, writing
from hubtune.storage.atomic import write_atomically

_PACKAGE = Path(hubtune.__file__).parent
_RECIPES, _DATASETS = "recipes", "datasets"


@dataclass(frozen=True)
class ShippedRecipe:
    """A recipe that comes with hubtune.

    Attributes:
        file: the recipe.
        dataset: the description of its data set; ``None`` if it needs none.
        summary: its first sentence.
    """

    file: Path
    dataset: Path | None
    summary: str

    @property
    def name(self) -> str:
        """Its name in commands."""
        return self.file.stem


def shipped_recipes() -> list[ShippedRecipe]:
    """Return the recipes in order of their names.

    Raises:
        MachineError: the installation has none.
    """
    # In a wheel they are in the package, in a clone beside it.
    for root in (_PACKAGE, _PACKAGE.parent):
        if files := sorted((root / _RECIPES).glob("*.yaml")):
            return [_read(root, file) for file in files]
    raise MachineError(f"There are no recipes beside {_PACKAGE}: install hubtune again")


def copy_recipe(name: str, folder: Path) -> list[Path]:
    """Write a recipe into ``folder/recipes``, and its data set's description into ``folder/datasets``.

    Returns:
        The files.

    Raises:
        UsageError: there is no recipe of this name, or another file is in its place.
        MachineError: a file cannot be written.
    """
    known = {recipe.name: recipe for recipe in shipped_recipes()}
    if (recipe := known.get(Path(name).stem)) is None:
        raise UsageError(
            f"There is no recipe {name!r}.{suggest(name, known)} hubtune recipe list names all of them"
        )
    sources = [(recipe.file, folder / _RECIPES / recipe.file.name)]
    if recipe.dataset is not None:
        sources.append((recipe.dataset, folder / _DATASETS / recipe.dataset.name))
    for source, target in sources:
        if target.exists() and target.read_bytes() != source.read_bytes():
            raise UsageError(f"{target} is there already: move it away, or name another folder")
    for source, target in sources:
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, source.read_bytes())
    return [target for _, target in sources]


def _read(root: Path, file: Path) -> ShippedRecipe:
    text = file.read_text(encoding="utf-8")
    about = " ".join(
        line.removeprefix("#").strip()
        for line in text.splitlines()
        if line.startswith("#") and not line.startswith("# command:")
    )
    summary = re.split(r"(?<=\.)\s|;|:", about.strip(), maxsplit=1)[0].rstrip(".")
    base = re.search(r"^\s*(?:data: *\{ *)?base: *datasets/([\w-]+)", text, re.MULTILINE)
    dataset = root / _DATASETS / f"{base[1]}.yaml" if base else None
    return ShippedRecipe(file, dataset if dataset is not None and dataset.is_file() else None, summary)
