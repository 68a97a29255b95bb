"""The result of a search: its trials, best first, and the recipe of the best one."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hubtune.errors import NumericError, UsageError
from hubtune.recipe.load import dump_recipe
from hubtune.recipe.schema import Recipe
from hubtune.storage.atomic import write_atomically
from hubtune.tuning.search_space import Choice, apply_choice
from hubtune.tuning.shared_study import SharedStudy
from hubtune.tuning.study import Study, Trial

STUDY = "study.json"
BEST = "best.yaml"


@dataclass(frozen=True)
class SearchResult:
    """Result of a search in a folder.

    Attributes:
        recipe: the choice that leaves the recipe as it is.
        trials: the finished trials, best first; then the others.
        best_recipe: the file with the best trial's recipe; ``None`` if none was finished before a signal.
        stopped: exit code of the signal that stopped the search; ``None`` for none.
    """

    folder: Path
    recipe: Choice
    trials: list[Trial]
    best_recipe: Path | None
    stopped: int | None

    def as_dict(self) -> dict[str, Any]:
        """Return the result for JSON."""
        return {
            "study": str(self.folder / STUDY),
            "best_recipe": None if self.best_recipe is None else str(self.best_recipe),
            "stopped": self.stopped is not None,
            "trials": [
                {
                    "rank": rank if trial.state == "done" else None,
                    "number": trial.number,
                    "state": trial.state,
                    "recipe": trial.choice == self.recipe,
                    **asdict(trial.choice),
                    "accuracy": trial.accuracy,
                    "standard_error": trial.standard_error,
                    "right": sum(trial.right),
                    "count": sum(trial.counts),
                    "folds": len(trial.counts),
                    "seconds": trial.seconds,
                }
                for rank, trial in enumerate(self.trials, 1)
            ],
        }


def search_result(folder: Path, study: Study | SharedStudy, own: Choice, stopped: int | None) -> SearchResult:
    """Return the result of the study in a folder; ``own`` is the recipe's choice.

    Raises:
        UsageError: if no trial was done in the time.
        NumericError: if all trials diverged.
    """
    ranked = study.ranked()
    if ranked and ranked[0].state == "done":
        return SearchResult(folder, own, ranked, folder / BEST, stopped)
    if stopped is None and (study.is_interrupted or not ranked):
        raise UsageError(
            "The time was over before a trial was done: continue by --resume with a longer --timeout, or "
            "take fewer train.epochs"
        )
    if stopped is None:
        raise NumericError(f"All {len(ranked)} trials have diverged: look at the pictures and the recipe")
    return SearchResult(folder, own, ranked, None, stopped)


def write_best(folder: Path, study: Study | SharedStudy, recipe: Recipe, *, pretrained: bool) -> None:
    """Write the recipe of the best finished trial so far, if there is one."""
    done = [trial for trial in study.ranked() if trial.state == "done"]
    if not done:
        return
    best, file = done[0], folder / BEST
    best_recipe = apply_choice(recipe, best.choice, pretrained=pretrained)
    command, rest = dump_recipe(best_recipe, f"hubtune finetune {file}").split("\n", 1)
    result = (
        f"# Found by hubtune tune: {best.score} right in {len(best.counts)}-fold cross-validation on "
        f"{sum(best.counts)}\n# training pictures, slightly optimistic as the best of {len(done)} scores."
    )
    write_atomically(file, f"{command}\n{result}\n{rest}")
