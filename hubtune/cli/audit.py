"""``hubtune audit``."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import hubtune
from hubtune.cli.console import percent, print_json, print_table, say, shown
from hubtune.cli.feature_module import load_module
from hubtune.cli.inputs import check_output_file, run_or_newest, tidy_path
from hubtune.cli.options import COUNT, FILE, json_option, source_options, trust_option, weights_option
from hubtune.cli.training_inputs import find_bucket
from hubtune.errors import DataError, UsageError, writing
from hubtune.hub.file_names import MODEL_FILE
from hubtune.log import show_on_stderr
from hubtune.storage.atomic import write_atomically, write_csv
from hubtune.text import plural

if TYPE_CHECKING:
    from hubtune.data.audit.issues import LabelIssue
    from hubtune.data.label_sets import LabelSets
    from hubtune.data.listing import ImageEntry
    from hubtune.data.sources.settings import SourceSettings
    from hubtune.inference.frozen_backbone import FrozenBackbone
    from hubtune.inference.label_ranking import DecisionIssue

_MODULE = "paddle.vision:mobilenet_v2"


@click.command()
@click.argument("what", required=False, metavar="RUN|PICTURES")
@click.option("--csv", "csv_file", type=FILE, help="Write all ranked labels.")
@click.option("--page", type=FILE, help="Write an HTML page with thumbnails; an earlier one is replaced.")
@click.option("--top", type=COUNT, default=20, help="How many labels to print.")
@click.option("--module", metavar="NAME", help=f"For PICTURES: whose features are used; default {_MODULE}.")
@weights_option
@trust_option
@source_options
@json_option
def command(
    what: str | None,
    csv_file: Path | None,
    page: Path | None,
    top: int,
    module: str | None,
    weights: str,
    trust_code: bool,
    settings: "SourceSettings",
    as_json: bool,
) -> None:
    """Rank the labels that may be wrong, the least probable first.

    Each label is judged by a head that was fitted to all other pictures: on the features of the RUN's model,
    or on those of a module for PICTURES, which are named as for `hubtune split`. Default: the newest run.
    Nothing is changed.

    \b
    hubtune audit
    hubtune audit runs/idol5 --csv suspects.csv
    hubtune audit pics/ --page suspects.html
    """
    from hubtune.runs.folder import is_run

    show_on_stderr()
    check_output_file(csv_file, "--csv")
    check_output_file(page, "--page")
    if what is None:
        what = str(run_or_newest(None))
    elif find_bucket(what, ()):
        what = str(run_or_newest(what))
    if (Path(what) / MODEL_FILE).is_file():
        raise UsageError(f"{what} is a model without lists: name its run, or pictures")
    if is_run(Path(what)):
        if module is not None or weights != "official":
            raise UsageError("--module and --weights go with PICTURES; a run has its own model")
        audited = _audit_run(Path(what), trust_code)
    else:
        audited = _audit_images(what, module or _MODULE, weights, trust_code, settings)
    rows = audited.rows()
    if csv_file is not None:
        with writing(csv_file):
            write_csv(csv_file, audited.columns, [[row[name] for name in audited.columns] for row in rows])
        say(f"{plural(len(rows), 'row')} written to {shown(csv_file)}")
    if page is not None:
        _write_page(page, what, audited)
    if as_json:
        print_json({"source": what, "count": audited.count, "rows": rows})
        return
    if not rows:
        say(f"No label of {plural(audited.count, 'picture')} is improbable.")
        return
    print_table([audited.header, *map(audited.line, rows[:top])], sides=audited.sides)
    say(
        f"{len(rows):,} of {plural(audited.judged, 'label')} are not what a head says that was "
        "fitted without the picture. The first may be wrong, the last are mostly difficult pictures: look "
        "before you change any."
    )
    if len(rows) > top and csv_file is None:
        say(f"All of them: --csv FILE, or --top {len(rows)}")


@dataclass(frozen=True)
class _Audit:
    """Ranked labels, with the image, the list and the class names that they refer to."""

    issues: "Sequence[LabelIssue]"
    entries: "list[ImageEntry]"
    lists: list[str]
    labels: list[str]
    count: int

    columns = ("rank", "path", "list", "label", "probability", "other", "other_probability")
    header = ("", "picture", "label", "probability", "more likely", "probability")
    sides = "><<><"

    @property
    def judged(self) -> int:
        return self.count

    def rows(self) -> list[dict[str, Any]]:
        return [
            {
                "rank": rank,
                "path": tidy_path(self.entries[issue.index].path),
                "list": self.lists[issue.index],
                "label": self.labels[self.entries[issue.index].label],
                "probability": issue.own,
                "other": self.labels[issue.other],
                "other_probability": issue.probability,
            }
            for rank, issue in enumerate(self.issues, start=1)
        ]

    def line(self, row: dict[str, Any]) -> tuple[str, ...]:
        own, other = percent(row["probability"]), percent(row["other_probability"])
        return str(row["rank"]), row["path"], row["label"], own, row["other"], other

    def name_of(self, row: dict[str, Any]) -> str:
        return str(row["label"])

    def note_on(self, row: dict[str, Any]) -> str:
        other = percent(row["other_probability"])
        return f"{percent(row['probability'])}; more likely {row['other']}, {other}"


@dataclass(frozen=True)
class _MultiLabelAudit:
    """Ranked decisions about labels; ``labels`` are the names of sets."""

    issues: "Sequence[DecisionIssue]"
    entries: "list[ImageEntry]"
    lists: list[str]
    labels: list[str]
    count: int
    sets: "LabelSets"

    columns = ("rank", "path", "list", "labels", "label", "given", "probability")
    header = ("", "picture", "labels", "may be", "label", "probability")
    sides = "><<<<"

    @property
    def judged(self) -> int:
        return self.count * len(self.sets.labels)

    def rows(self) -> list[dict[str, Any]]:
        return [
            {
                "rank": rank,
                "path": tidy_path(self.entries[issue.index].path),
                "list": self.lists[issue.index],
                "labels": self.labels[self.entries[issue.index].label],
                "label": self.sets.labels[issue.label],
                "given": issue.is_given,
                "probability": issue.probability,
            }
            for rank, issue in enumerate(self.issues, start=1)
        ]

    def line(self, row: dict[str, Any]) -> tuple[str, ...]:
        fault = "wrong" if row["given"] else "missing"
        return str(row["rank"]), row["path"], row["labels"], fault, row["label"], percent(row["probability"])

    def name_of(self, row: dict[str, Any]) -> str:
        return str(row["labels"])

    def note_on(self, row: dict[str, Any]) -> str:
        label, probability = row["label"], percent(row["probability"])
        return f"{label} may be {'wrong' if row['given'] else 'missing'}: {probability}"


def _audit_run(run: Path, trust_code: bool) -> "_Audit | _MultiLabelAudit":
    from hubtune.data.dataset import LIST_NAMES
    from hubtune.data.splits.files import read_groups
    from hubtune.hardware.device import select_device
    from hubtune.inference.list_features import backbone_of_model
    from hubtune.runs.folder import RECIPE_FILE
    from hubtune.runs.lists import dataset_of

    select_device("auto")
    model = hubtune.load_model(run, trust_code=trust_code)
    if model.card.step:
        say(
            "The network was trained on the labels of the training list, and finds fewer of its wrong ones: "
            "hubtune audit PICTURES judges by a network that has seen none"
        )
    dataset = dataset_of(hubtune.load_recipe(run / RECIPE_FILE), complete=True)
    dataset.check_files()
    lists = [(name, entry) for name in LIST_NAMES for entry in dataset.examples(name)]
    entries, names = [entry for _, entry in lists], [name for name, _ in lists]
    backbone, blocks = backbone_of_model(model)
    views, groups = model.card.views, read_groups(dataset.lists_folder)
    images = (entries, names, dataset.class_names)
    return _rank(backbone, blocks, views, images, groups, dataset.label_sets)


def _audit_images(
    source: str, module: str, weights: str, trust_code: bool, settings: "SourceSettings"
) -> "_Audit | _MultiLabelAudit":
    from hubtune.cli.progress import working_bar
    from hubtune.data.audit.scan_report import make_scan_report
    from hubtune.data.images.verify import find_bits
    from hubtune.data.sources.open import open_source
    from hubtune.inference.feature_cache import FeatureCache
    from hubtune.inference.list_features import features_backbone
    from hubtune.models.classifier import Classifier
    from hubtune.train.views import whole_view

    with working_bar("opening") as progress:
        listing = open_source(source, settings=settings, progress=progress)
        network = load_module(module, weights, trust_code)
        assert network is not None
        report = make_scan_report(source, listing, progress=progress)
    if not report.images:
        raise DataError(f"{source} has no picture that can be read")
    record, labels = network.backbone, list(report.classes)
    classifier = Classifier(record, len(labels))
    classifier.load_backbone(network.network)
    if record.taps:
        classifier.take_second_order(classifier.find_taps(record.taps, record.input_size))
    own = network.preprocessing.model_copy(update={"bits": find_bits([each.path for each in report.images])})
    view = whole_view(own, record.size_multiple) or own
    backbone = features_backbone(
        classifier, view, module=record.name, wanted="auto", cache=FeatureCache(), code=network.code
    )
    groups = {
        report.images[index].path: number
        for number, group in enumerate(report.groups)
        for index in group.members
    }
    images = report.images
    listed = (images, [""] * len(images), labels)
    return _rank(backbone, classifier.blocks, [view], listed, groups, report.scan.label_sets)


def _rank(
    backbone: "FrozenBackbone",
    blocks: list[int],
    views: "list[hubtune.Preprocessing]",
    images: "tuple[list[ImageEntry], list[str], list[str]]",
    groups: dict[Path, int],
    sets: "LabelSets | None",
) -> "_Audit | _MultiLabelAudit":
    """Rank the labels of images, which come with the list of each and the names of classes or sets."""
    from hubtune.cli.progress import counting_bar
    from hubtune.inference.feature_table import Targets
    from hubtune.inference.label_ranking import rank_decisions, rank_labels
    from hubtune.inference.list_features import compute_table
    from hubtune.train.data_checks import hash_images

    entries, lists, labels = images
    entries = hash_images(entries, lambda: None)
    with counting_bar("computing features") as advance:
        table, indices = compute_table(backbone, blocks, views, entries, groups, advance=advance)
    if unreadable := len(entries) - len(indices):
        say(f"{plural(unreadable, 'picture')} could not be read and have no rank")
    if not len(indices):
        raise DataError("None of the pictures can be read")
    readable, of_lists = [entries[index] for index in indices], [lists[index] for index in indices]
    facts = readable, of_lists, labels, len(readable)
    if sets is None:
        return _Audit(rank_labels(table, len(labels)), *facts)
    return _MultiLabelAudit(rank_decisions(replace(table, targets=Targets(sets.matrix))), *facts, sets)


def _write_page(page: Path, source: str, audited: "_Audit | _MultiLabelAudit") -> None:
    from hubtune.data.audit.issues import Issue, IssueFile
    from hubtune.data.scan.scanner import Scan
    from hubtune.report.scan_page import render_scan_page

    scan = Scan(Path(source))
    if isinstance(audited, _MultiLabelAudit):
        scan = Scan(Path(source), {label: [] for label in audited.labels}, label_sets=audited.sets)
    for entry in audited.entries:
        scan.classes.setdefault(audited.labels[entry.label], []).append(entry)
    files = [
        IssueFile(Path(row["path"]), row["path"], audited.name_of(row), audited.note_on(row))
        for row in audited.rows()
    ]
    title = f"{plural(len(files), 'label')} that a model does not expect, the least probable first"
    advice = "The first may be wrong, the last are mostly difficult pictures: look before you change any."
    issues = [Issue("labels", title, advice, [[file] for file in files])] if files else []
    with writing(page):
        write_atomically(page, render_scan_page(source, scan, issues))
    say(f"To look at: {shown(page)}")
