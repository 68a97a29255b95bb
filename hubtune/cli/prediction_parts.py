"""Predictions of one shard as a part file, and parts joined to what one run would have written."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubtune.cli.console import print_json, say, shown
from hubtune.cli.prediction_output import (
    PredictionOutput,
    report_unreadable,
    table_of,
    without_further_scores,
)
from hubtune.cli.sharding import ShardRun
from hubtune.errors import DataError, UsageError, writing
from hubtune.inference.part_files import Part, PartFolder
from hubtune.storage.address import name_of
from hubtune.storage.atomic import csv_content, replacing, sha256_of

if TYPE_CHECKING:
    from hubtune import Model


def common_facts(model: Path, output: PredictionOutput) -> dict[str, Any]:
    """Return what the parts of one result have in common, beside the pictures.

    Raises:
        ModelError: there is no complete model.
    """
    from hubtune.inference.load_model import model_folder_of
    from hubtune.storage.checked_folder import MANIFEST, open_checked

    # The manifest has the SHA-256 of each of the model's files.
    digest = sha256_of(open_checked(model_folder_of(model)) / MANIFEST)
    options = {"top": output.top, "scores": output.scores, "reject": output.reject}
    return {"command": "predict", "model_sha256": digest, "options": options}


def predict_shard(
    shard: ShardRun, output: PredictionOutput, model: "Model", name: str, *, batch_size: int
) -> None:
    """Predict a shard's images, and write its part."""
    from hubtune.cli.progress import counting_bar

    if output.reject:
        model.check_can_reject()
    output.check_model(model)
    top, rows = min(output.top, len(model.labels)), []
    predicted = model.predict(shard.paths, reject=output.reject, batch_size=batch_size)
    with counting_bar("predicting") as advance:
        for path, row in zip(shard.paths, predicted, strict=True):
            row = replace(row, path=name_of(path))
            rows.append(row if output.scores else without_further_scores(row, top))
            advance(len(rows), len(shard.paths))
    if shard.suffix == ".csv":
        content = csv_content(*table_of(model, rows, top, scores=output.scores))
    else:
        documents = [row.as_dict(top=top, scores=output.scores) for row in rows]
        content = "".join(f"{json.dumps(document)}\n" for document in documents).encode()
    errors = sum(row.error is not None for row in rows)
    shard.write(content, errors=errors, model=name, engine=model.engine_name, as_json=output.as_json)


def gather_predictions(folder: Path, output: PredictionOutput) -> None:
    """Join the parts in a folder to the file or the document of one run over all images.

    Raises:
        UsageError: the parts have another format than the output.
        DataError: the parts are not complete, or not of one result.
    """
    parts = PartFolder(folder).read_all("predict")
    first = parts[0].record
    if first["suffix"] == ".csv" and (output.csv_file is None or output.as_json):
        raise UsageError(f"The parts in {folder} are CSV: join them with --gather {folder} --csv FILE")
    if first["suffix"] == ".jsonl" and (output.csv_file is not None or not output.as_json):
        raise UsageError(f"The parts in {folder} are JSON: join them with --gather {folder} --json")
    if output.csv_file is not None:
        with writing(output.csv_file), replacing(output.csv_file) as file:
            for record in _joined(parts, _csv_records):
                file.write(record)
        say(f"{first['pictures']:,} rows written to {shown(output.csv_file)}")
    else:
        _, *lines = _joined(parts, _json_records)
        rows = [json.loads(line) for line in lines]
        print_json({"model": first["model"], "rows": rows})
    report_unreadable(sum(part.record["errors"] for part in parts), first["pictures"])


def _joined(parts: Sequence[Part], read: Callable[[bytes], tuple[bytes, list[bytes]]]) -> Iterator[bytes]:
    """Yield the header, and the records of all parts in the order of one run."""
    records = [b""] * parts[0].record["pictures"]
    for part in parts:
        header, own = read(part.file.read_bytes())
        if part is parts[0]:
            yield header
        if len(own) != len(part.record["positions"]):
            raise DataError(f"{part.file} has other rows than its record says: make it again")
        for place, record in zip(part.record["positions"], own, strict=True):
            records[place] = record
    yield from records


def _csv_records(content: bytes) -> tuple[bytes, list[bytes]]:
    """Return the header and the records of a CSV file as they are written; one may have line ends in it."""
    records, record = [], b""
    for line in content.splitlines(keepends=True):
        record += line
        if record.count(b'"') % 2 == 0:
            records.append(record)
            record = b""
    return records[0], records[1:]


def _json_records(content: bytes) -> tuple[bytes, list[bytes]]:
    """Return an empty header, and the lines of a file."""
    return b"", content.splitlines()
