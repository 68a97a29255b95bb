"""``finetune --from RUN``: goes on from a model, with the pictures of its run and new ones."""

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import hubtune
from hubtune.cli.console import echo, percent, say, shown
from hubtune.cli.options import DIR
from hubtune.cli.split_output import print_remarks
from hubtune.cli.training_inputs import place_new_run, say_recipe, use_lists, with_trust
from hubtune.data.sources.naming import is_source
from hubtune.errors import DataError, UsageError

if TYPE_CHECKING:
    from hubtune.data.listing import Progress
    from hubtune.data.sources.settings import SourceSettings
    from hubtune.inference.old_classes import OldClasses


@dataclass(frozen=True)
class Continuation:
    """What training goes on from.

    Attributes:
        model: a run, or a model folder.
        new_only: whether only the classes of the new pictures are trained.
    """

    model: Path
    new_only: bool

    def check(self, source: str) -> None:
        """Raise UsageError if there are no new pictures."""
        if is_source(source):
            return
        if os.path.lexists(source):
            raise UsageError(
                f"--from goes with new pictures, and {source} is a recipe: name the module in it"
            )
        raise UsageError(f"There is no {source}: give the folder of the new pictures")

    def prepare(
        self, source: str, overrides: Sequence[str], trust_code: bool, settings: "SourceSettings"
    ) -> tuple["hubtune.Recipe", str]:
        """Write the lists of old and new pictures, and return the recipe, and what the source was taken for.

        Raises:
            HubtuneError: if the pictures or the model cannot be used, or the lists not written.
        """
        from hubtune.cli.progress import working_bar
        from hubtune.data.extended_lists import extend_lists
        from hubtune.runs.folder import LISTS, is_run
        from hubtune.train.defaults import recipe_to_continue

        recipe = with_trust(recipe_to_continue(self.model, source, overrides), trust_code)
        if not (self.new_only or is_run(self.model)):
            raise UsageError(
                f"{self.model} is a model without lists, so that the pictures of its classes are not known: "
                "name its run, or train the classes of the new pictures only, --classes new-only"
            )
        place = place_new_run(recipe.run or "")
        with working_bar("opening") as progress:
            new = self._split(source, settings, progress)
            split = self._follow(new, progress) if self.new_only else extend_lists(self._lists, new, progress)
        split.write(place.folder / LISTS, force=True)
        taken_for = shown(f"{source} is {new.taken_for}")
        say(taken_for)
        print_remarks(new, "not in any list")
        self._say_lists(split, [] if split is new else split.remarks)
        recipe = use_lists(recipe, place.folder / LISTS)
        say_recipe(recipe)
        return recipe.model_copy(update={"run": place.address}), taken_for

    def _follow(self, new: "hubtune.Split", progress: "Progress") -> "hubtune.Split":
        """Put the run's pictures where they were: it is not tested on what it was trained on."""
        from hubtune.data.extended_lists import follow_lists
        from hubtune.runs.folder import is_run

        if not is_run(self.model):
            return new
        try:
            return follow_lists(self._lists, new, progress)
        except DataError as error:
            say(f"The pictures of {shown(self.model)} are not known: {error}")
            return new

    def _split(self, source: str, settings: "SourceSettings", progress: "Progress") -> "hubtune.Split":
        """Divide the new pictures into the lists that the run has."""
        from hubtune.data.prepare import DEFAULT_REQUEST, split_source
        from hubtune.data.splits.quota import NOTHING

        least = 2 if self.new_only else 1
        request = replace(DEFAULT_REQUEST, settings=replace(settings, least_classes=least))
        if not self.new_only and not self._lists.examples("validate"):
            request = replace(request, validate=NOTHING)
        if not self.new_only and not self._lists.examples("test"):
            request = replace(request, test=NOTHING)
        return split_source(source, request, progress=progress)

    @cached_property
    def _lists(self) -> "hubtune.BaseCVDataset":
        from hubtune.runs.folder import RECIPE_FILE
        from hubtune.runs.lists import dataset_of

        return dataset_of(hubtune.load_recipe(self.model / RECIPE_FILE), complete=True)

    def _say_lists(self, split: "hubtune.Split", remarks: Sequence[str]) -> None:
        counts = ", ".join(f"{len(images):,} {name}" for name, images in split.lists.items())
        old = 0 if self.new_only else self._lists.num_labels
        of_run = f", {old:,} of them those of {self.model}" if old else ""
        say(shown(f"Lists: {counts} pictures of {len(split.labels):,} classes{of_run}"))
        for remark in remarks:
            say(shown(f"• {remark}"))

    def measure(self, run: "hubtune.Run", trust_code: bool) -> "OldClasses | None":
        """Measure what was forgotten of the earlier run's classes; ``None`` if its lists are not used."""
        from hubtune.inference.old_classes import measure_old_classes

        if self.new_only:
            return None
        before, now = (hubtune.load_model(m, trust_code=trust_code) for m in (self.model, run.best_model))
        return measure_old_classes(self._lists, before, now)

    def print_measured(self, measured: "OldClasses | None") -> None:
        """Print the result of :meth:`measure`."""
        if measured is None:
            return
        before, now = (percent(right / measured.count) for right in (measured.before, measured.now))
        images = f"{measured.count:,} {measured.list} pictures of {shown(self.model)}"
        echo(f"Before:     {before} of the {images} were right, now {now}")


def continuation_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--from`` and ``--classes``, as one argument ``continuation``, perhaps ``None``."""

    @functools.wraps(command)
    def call(*, model: Path | None, classes: str | None, **options: Any) -> Any:
        if classes is not None and model is None:
            raise UsageError("--classes goes with --from RUN")
        continuation = None if model is None else Continuation(model, classes == "new-only")
        return command(continuation=continuation, **options)

    model_option = click.option(
        "--from",
        "model",
        type=DIR,
        metavar="RUN",
        help="Go on from a run, with its pictures and new ones: its network, head and settings.",
    )
    classes_option = click.option(
        "--classes",
        type=click.Choice(("all", "new-only")),
        help="With --from: all classes, old and new, or those of the new pictures only; default: all.",
    )
    return model_option(classes_option(call))
