"""``hubtune finetune``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hubtune.cli.answers import ENGINES, overrides_option, trust_option
from hubtune.cli.output import figures, print_json, say, shown
from hubtune.errors import UsageError

if TYPE_CHECKING:
    from hubtune.recipe.schema import Recipe
    from hubtune.task import ImageClassifierTask, Run
    from hubtune.train.observer import Observer


@click.command()
@click.argument("what", metavar="RECIPE|FOLDER", type=click.Path(path_type=Path))
@overrides_option
@click.option("--device", metavar="NAME", help="auto, cpu, gpu or gpu:0; the same as -o train.device=NAME.")
@click.option(
    "--views",
    metavar="N",
    help="Under strategy frozen: auto, 1 (quickest) or 2; the same as -o strategy.views=N.",
)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    help="What runs a network that is not being trained; the same as -o train.engine=NAME.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with an interrupted run, at the picture where it stopped; begin it if there is none.",
)
@click.option(
    "--log",
    "logs",
    multiple=True,
    type=click.Choice(("visualdl", "tensorboard")),
    help="Write curves for a viewer into RUN/visualization. May be repeated.",
)
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    what: Path,
    overrides: tuple[str, ...],
    device: str | None,
    views: str | None,
    engine: str | None,
    resume: bool,
    logs: tuple[str, ...],
    trust_code: bool,
    as_json: bool,
) -> None:
    """Fine-tune a module as a RECIPE says, or on a FOLDER of pictures.

    For a folder, the lists that `hubtune split` made are used, or else a split is made; module and strategy
    are chosen for the machine, and printed. With --resume, the folder may also be a run's.

    \b
    hubtune finetune recipes/idol5.yaml
    hubtune finetune pics/ -o module.weights=mobilenet_v2.safetensors
    hubtune finetune runs/idol5 --resume
    """
    writers = _writers(logs)
    if device is not None:
        overrides = (*overrides, f"train.device={device}")
    if views is not None:
        overrides = (*overrides, f"strategy.views={views}")
    if engine is not None:
        overrides = (*overrides, f"train.engine={engine}")
    if trust_code:
        overrides = (*overrides, "module.trust_code=true")
    own = _own_recipe(what, resume)
    recipe = _recipe(what, own, list(overrides))
    if own is not None and not trust_code and recipe.module.trust_code:
        # What a run's folder says is not the word of whoever goes on with it.
        recipe = recipe.model_copy(update={"module": recipe.module.model_copy(update={"trust_code": False})})
    run_folder = _check_run_folder(Path(recipe.run or ""), own, resume)

    from hubtune.cli.progress import watching
    from hubtune.task import ImageClassifierTask
    from hubtune.train.observer import Observers

    with watching() as observer:
        task = ImageClassifierTask.from_recipe(recipe, complete=own is not None)
        run = task.finetune_and_eval(resume=run_folder or False, observer=Observers([observer, *writers]))
    if as_json:
        print_json(run.as_dict())
    else:
        _print_result(run, recipe.strategy.name, " --trust-code" if recipe.module.trust_code else "")
        if recipe.strategy.name == "frozen" and what.is_dir() and own is None:
            _print_choice(task)


def _writers(logs: tuple[str, ...]) -> "list[Observer]":
    """Before any work: their packages may be missing."""
    if not logs:
        return []
    from hubtune.train.curves import CurveWriter

    return [CurveWriter(name) for name in dict.fromkeys(logs)]


def _own_recipe(what: Path, resume: bool) -> Path | None:
    """A run's own recipe, if that is what is asked for; unlike others, it names all lists that it uses."""
    from hubtune.train.run_folder import RECIPE_FILE, is_run, latest_in_series

    if what.is_file():
        return what if is_run(what.parent) and what.name == RECIPE_FILE else None
    if not what.is_dir():
        return None
    if is_run(what):
        if not resume:
            raise UsageError(
                f"{what} is a run: go on with it by --resume, or repeat it by "
                f"hubtune finetune {what / RECIPE_FILE} -o run=runs/NAME"
            )
        return what / RECIPE_FILE
    run = latest_in_series(_run_folder(what))
    return run / RECIPE_FILE if resume and is_run(run) else None


def _recipe(what: Path, own: Path | None, overrides: list[str]) -> "Recipe":
    from hubtune.recipe.load import load_recipe, unused_keys

    if own is not None:
        return load_recipe(own, overrides)
    if what.is_dir():
        return _recipe_for_folder(what, overrides)
    if not what.exists() and not what.suffix:
        raise UsageError(f"There is no {what}: give a recipe (recipes/NAME.yaml) or a folder of pictures")
    recipe = load_recipe(what, overrides)
    if unused := unused_keys(recipe):
        say(f"Not used by strategy {recipe.strategy.name}: {', '.join(unused)}")
    if recipe.run is None:
        recipe = recipe.model_copy(update={"run": str(Path("runs") / what.stem)})
    return recipe


def _check_run_folder(folder: Path, own: Path | None, resume: bool) -> Path | None:
    """The run to resume, if there is one; a folder in use is refused before Paddle is loaded."""
    from hubtune.train.run_folder import check_unlocked, free_folder, is_run, latest_in_series

    run = own.parent if own is not None else latest_in_series(folder)
    if resume and is_run(run):
        check_unlocked(run)
        return run
    free_folder(folder)
    return None


def _run_folder(pictures: Path) -> Path:
    return Path("runs") / pictures.resolve().name


def _recipe_for_folder(folder: Path, overrides: list[str]) -> "Recipe":
    """The recipe for a folder of pictures or of lists: what suits the machine, unless overridden."""
    import paddle

    from hubtune.recipe.load import make_recipe, unused_keys

    base, where = _lists_for(folder)
    on_gpu = paddle.device.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0
    data: dict[str, Any] = {
        "data": {"base": str(base)},
        # On a CPU a frozen trunk is run once where training all of it takes several times as long an epoch.
        "module": "resnet50_imagenet" if on_gpu else "paddle.vision:mobilenet_v2",
        "strategy": "default_finetune" if on_gpu else "frozen",
        "run": str(where),
    }
    recipe = make_recipe(data, overrides, source=f"hubtune finetune {folder}")
    if unused := [key for key in unused_keys(recipe) if any(key in given for given in overrides)]:
        say(f"Not used by strategy {recipe.strategy.name}: {', '.join(unused)}")
    say(f"Data: {shown(str(base))}; module: {recipe.module.name}; strategy: {recipe.strategy.name}")
    return recipe


def _lists_for(folder: Path) -> tuple[Path, Path]:
    """The base folder of the lists for a folder, and the run folder; a split is made where there is none."""
    from hubtune.cli.lists import DEFAULT_SPLIT, base_of, default_split
    from hubtune.data.split import write_split
    from hubtune.train.run_folder import LISTS, free_folder

    where = _run_folder(folder)
    base = base_of(folder)
    if base is not None:
        return base, where
    where = free_folder(where)
    split = default_split(folder)
    options = {"pictures": str(folder), **DEFAULT_SPLIT, "train": None, "seed": 0}
    write_split(split, where / LISTS, options, force=True)
    say(
        f"No lists beside {shown(str(folder))}: 70 % are taken for training, 10 % for validation, 20 % for "
        f"the test (to choose yourself: hubtune split {shown(str(folder))} --val 20)"
    )
    for remark in split.remarks:
        say(shown(remark))
    for entry in split.left_out:
        say(f"left out: {shown(str(entry.path))}: {entry.reason}")
    return where / LISTS, where


def _print_choice(task: "ImageClassifierTask") -> None:
    """Say what more would cost, after the quickest strategy."""
    from hubtune.log import duration
    from hubtune.recipe.strategy import DefaultFinetuneStrategy, LastStageStrategy

    epochs = task.config.epochs
    click.echo(f"More:       with {epochs} epochs of training, which may or may not be better:")
    strategies: list[LastStageStrategy | DefaultFinetuneStrategy] = [DefaultFinetuneStrategy()]
    if task.dataset.list_files["validate"] is not None and len(task.module.stages) > 2:
        strategies.insert(0, LastStageStrategy())
    for strategy in strategies:
        seconds = task.estimate(strategy)
        click.echo(f"            about {duration(seconds)}: -o strategy={strategy.name}")


def _print_result(run: "Run", strategy: str, trust: str) -> None:
    if run.validate is not None:
        click.echo(f"Validation: {figures(run.validate)}")
        if run.best_step or strategy in ("last_stage", "from_frozen"):
            click.echo("            a little flattered, as the best model was chosen on it")
    if run.test is not None:
        click.echo(f"Test:       {figures(run.test)}")
    if len(run.views) > 1 or run.cross_validated is not None:
        click.echo(f"Looks:      {', '.join(run.views)}")
    click.echo(f"Best model: {shown(str(run.best_model))}")
    click.echo(f"Next:       hubtune predict PICTURES --model {shown(str(run.path))}{trust}")
