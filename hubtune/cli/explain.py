"""``hubtune explain``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import hubtune
from hubtune.cli.console import echo, percent, print_json, shown
from hubtune.cli.inputs import check_output_folder, expand_images, model_or_newest
from hubtune.cli.options import DIR, RUN, json_option, table_options, trust_option
from hubtune.cli.prediction_output import padded, path_width, report_unreadable
from hubtune.errors import UsageError
from hubtune.log import show_on_stderr
from hubtune.storage.address import name_of

if TYPE_CHECKING:
    from hubtune.data.sources.settings import SourceSettings


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="PICTURES...")
@table_options
@click.option("--model", type=RUN, metavar="RUN", help="A run or model folder; default: the newest run.")
@click.option("-o", "--out", "folder", type=DIR, required=True, help="Folder for the tinted pictures.")
@click.option("--class", "label", metavar="NAME", help="The class to look for; default: the predicted one.")
@click.option("--npy", is_flag=True, help="Also write the map of each picture: values 0 to 1, float32, .npy.")
@click.option("--device", default="auto", metavar="NAME", help="auto, cpu, gpu or gpu:0.")
@trust_option
@json_option
def command(
    images: tuple[str, ...],
    settings: "SourceSettings",
    model: Path | str | None,
    folder: Path,
    label: str | None,
    npy: bool,
    device: str,
    trust_code: bool,
    as_json: bool,
) -> None:
    """Show where a model looked in PICTURES: warm colours, and a white line at half of the maximum.

    The maps are coarse, and say where the model looked, not why. PICTURES are named as for `hubtune predict`.

    \b
    hubtune explain dataset/test/*.jpg -o looked/
    hubtune explain photo.jpg --model runs/idol5 --class anqi -o looked/
    """
    paths = [*expand_images(images, settings)]
    check_output_folder(folder, "--out")
    if any(Path(path).resolve().parent == folder.resolve() for path in paths):
        raise UsageError(f"--out {folder} has pictures that would be explained: name another folder")
    model = model_or_newest(model)
    from hubtune.hardware.device import select_device
    from hubtune.inference.explanation import explain_images
    from hubtune.report.heat_map import save_explanation

    show_on_stderr()
    select_device(device)
    loaded = hubtune.load_model(model, trust_code=trust_code)
    rows: list[dict[str, Any]] = []
    names = {path: name_of(path) for path in paths}
    width, bits = path_width([*names.values()]), loaded.card.preprocessing.bits
    for number, row in enumerate(explain_images(loaded, paths, label=label), start=1):
        files = [] if row.error else save_explanation(folder, number, row, npy=npy, bits=bits)
        name = names.get(row.path, row.path)
        figures = {"path": name, "label": row.label, "score": row.score, "exact": row.is_exact}
        rows.append({**figures, "files": [str(file) for file in files], "error": row.error})
        if not as_json:
            text = f"— {row.error}" if row.error else f"{shown(row.label)} {percent(row.score or 0)}"
            echo(f"{padded(name, width)}  {text}" + "".join(f"  → {shown(file)}" for file in files[:1]))
    if as_json:
        print_json({"model": str(model), "rows": rows})
    report_unreadable(sum(row["error"] is not None for row in rows), len(rows))
