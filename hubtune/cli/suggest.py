"""``hubtune suggest``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import hubtune
from hubtune.cli.console import percent, print_json, print_table, say, shown
from hubtune.cli.inputs import check_output_file, expand_images, model_or_newest
from hubtune.cli.options import COUNT, FILE, RUN, engine_options, json_option, table_options, trust_option
from hubtune.errors import DataError, writing
from hubtune.log import logger, show_on_stderr
from hubtune.storage.address import name_of
from hubtune.storage.atomic import write_csv
from hubtune.text import plural

if TYPE_CHECKING:
    from hubtune.data.sources.settings import SourceSettings

_COLUMNS = ("rank", "path", "label", "score", "uncertainty", "novelty")


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="POOL...")
@click.option("-n", "--count", type=COUNT, default=20, help="How many pictures to suggest.")
@click.option("--model", type=RUN, metavar="RUN", help="A run or model folder; default: the newest run.")
@click.option("--csv", "csv_file", type=FILE, help="Write one row per suggested picture.")
@table_options
@engine_options
@trust_option
@json_option
def command(
    images: tuple[str, ...],
    count: int,
    model: Path | str | None,
    csv_file: Path | None,
    settings: "SourceSettings",
    batch_size: int,
    device: str,
    engine: str,
    trust_code: bool,
    as_json: bool,
) -> None:
    """Suggest which pictures of an unlabelled POOL to label next, the most useful first.

    These are pictures that the model is unsure of, unlike its training pictures, and unlike one another. POOL
    is named as for `hubtune predict`.

    \b
    hubtune suggest unlabelled/ -n 50
    hubtune suggest unlabelled/ -n 50 --model runs/idol5 --csv to_label.csv
    """
    from hubtune.cli.progress import counting_bar

    paths = [*expand_images(images, settings)]
    check_output_file(csv_file, "--csv")
    model = model_or_newest(model)
    from hubtune.hardware.device import select_device
    from hubtune.inference.suggestion import suggest_images

    show_on_stderr()
    select_device(device)
    loaded = hubtune.load_model(model, trust_code=trust_code, engine=engine)
    results = []
    with counting_bar("predicting") as advance:
        for result in loaded.score([Path(path) for path in paths], batch_size=batch_size):
            if result.error is not None:
                logger.warning("left out: %s", result.error)
            results.append(result)
            advance(len(results), len(paths))
    if all(result.values is None for result in results):
        raise DataError("None of the pictures can be read")
    rows: list[dict[str, Any]] = []
    by_label = loaded.card.multi_label
    chosen = suggest_images(results, loaded.reference, count, multi_label=by_label)
    for rank, suggestion in enumerate(chosen, start=1):
        values = results[suggestion.index].values
        assert values is not None
        # Of labels, the one that is least sure is of interest.
        best = int(abs(values - 0.5).argmin() if by_label else values.argmax())
        rows.append(
            {
                "rank": rank,
                "path": name_of(paths[suggestion.index]),
                "label": loaded.labels[best],
                "score": float(values[best]),
                "uncertainty": suggestion.uncertainty,
                "novelty": suggestion.novelty,
            }
        )
    if csv_file is not None:
        with writing(csv_file):
            write_csv(csv_file, _COLUMNS, [[row[name] for name in _COLUMNS] for row in rows])
        say(f"{plural(len(rows), 'row')} written to {shown(csv_file)}")
    if as_json:
        print_json({"model": str(model), "count": len(paths), "rows": rows})
    elif csv_file is None:
        lines = [["", "picture", "least sure of" if by_label else "the model says", "score", "novelty"]]
        for row in rows:
            score, novelty = percent(row["score"]), f"{row['novelty']:.2f}"
            lines.append([str(row["rank"]), row["path"], row["label"], score, novelty])
        print_table(lines, sides="><<")
    if len(rows) < count:
        say(f"Only {plural(len(rows), 'picture')} of {len(paths):,} can be read and differ from the others.")
