"""Write the ``README.md`` of a model folder: what the model is, how good, for what, and how to use it.

Its header has the metadata of the Hugging Face Hub's model cards, https://huggingface.co/docs/hub/model-cards.
"""

import html
import math
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import yaml

from hubtune.hub.file_names import CODE_FILE
from hubtune.hub.model_card import ModelCard
from hubtune.text import escaped

README_FILE = "README.md"

_MOST_CLASSES = 200
_FEW_IMAGES = 20  # of a class in training
_PRECISION = "mean_average_precision"  # the name of a metric in model cards
_LISTS = {"train": "training", "validate": "validation", "test": "test"}
# Punctuation that Markdown may read as its own; a backslash before it makes it text (CommonMark 0.31, 2.4).
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~:@$^=.-])")

Counts = Mapping[str, Mapping[str, int]]
"""Class or label → number of images in each list, by the list's name."""


def render_model_readme(
    card: ModelCard,
    counts: Counts,
    *,
    licence: str | None,
    chosen: bool,
    sizes: Mapping[str, int] = MappingProxyType({}),
    unlabelled: Mapping[str, int] = MappingProxyType({}),
) -> str:
    """Return the text of ``README.md`` for a model.

    Args:
        card: the model's description.
        counts: class or label → number of images in each list; empty if they are unknown.
        licence: SPDX identifier of the weights that the model was made from; ``None`` if it is unknown, or
            there were none.
        chosen: whether the model was chosen on the validation list.
        sizes: of a multi-label model, the number of images in each list.
        unlabelled: of a multi-label model, the number of images without a label in each list.
    """
    count, is_multi_label = f"{len(card.labels):,}", card.multi_label
    header = yaml.safe_dump(_metadata(card, licence), sort_keys=False, allow_unicode=True)
    parts = [
        f"---\n{header}---",
        f"# Multi-label image classifier of {count} labels"
        if is_multi_label
        else f"# Image classifier of {count} classes",
        "\n".join(_introduction(card)),
        "## Labels and data" if is_multi_label else "## Classes and data",
        "\n".join(_class_table(card, counts, sizes, unlabelled)),
        "## Figures",
        "\n".join(_label_figures(card, chosen) if is_multi_label else _figures(card, chosen)),
        "## Intended use",
        f"Pictures like those that it was trained on, each with any number of the {count} labels, or none."
        if is_multi_label
        else f"Pictures like those that it was trained on, each of one of the {count} classes.",
        "## Limits",
        "\n".join(f"- {limit}" for limit in _limits(card, counts)),
        "## Licence",
        _licence_text(card, licence),
        "## Use",
        _USE % (_LABELS_FIELDS if is_multi_label else _CLASS_FIELDS),
    ]
    return "\n\n".join(parts) + "\n"


_USE = """\
The folder has all that prediction needs, and `manifest.json` has the checksums of its files. With hubtune:

```console
$ hubtune predict PICTURES --model MODEL_FOLDER
$ hubtune evaluate MODEL_FOLDER --on PICTURES
```

```python
import hubtune

for row in hubtune.load_model("MODEL_FOLDER").predict(["a.jpg", "b.jpg"]):
    print(%s)
```"""

_CLASS_FIELDS = "row.path, row.label, row.score, row.error"
_LABELS_FIELDS = "row.path, row.labels, row.error"  # labels: name → probability


def _metadata(card: ModelCard, licence: str | None) -> dict[str, Any]:
    results = [
        {
            "task": {"type": "image-classification"},
            "dataset": {"type": "imagefolder", "name": f"{_LISTS[name]} list", "split": name},
            "metrics": [
                *([{"type": _PRECISION, "value": figures["mean_ap"]}] if _has_precision(figures) else []),
                {"type": "accuracy", "value": figures["accuracy"]},
            ],
        }
        for name, figures in _measured(card)
    ]
    metadata: dict[str, Any] = {
        "license": licence.lower() if licence else "unknown",
        "library_name": "hubtune",
        "pipeline_tag": "image-classification",
        "tags": [
            *("image-classification", "hubtune", "paddlepaddle"),
            *(["multi-label"] if card.multi_label else []),
        ],
        "metrics": [*([_PRECISION] if card.multi_label else []), "accuracy"],
    }
    if card.module_sha256 is not None and card.architecture != CODE_FILE:
        metadata["base_model"] = card.architecture
    if results:
        metadata["model-index"] = [{"name": "image classifier", "results": results}]
    return metadata


def _measured(card: ModelCard) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The lists that the model was measured on, the test list first."""
    for name in ("test", "validate"):
        figures = card.metrics.get(name)
        if figures and figures.get("count") and math.isfinite(figures.get("accuracy", math.nan)):
            yield name, figures


def _has_precision(figures: Mapping[str, Any]) -> bool:
    return math.isfinite(figures.get("mean_ap", math.nan))


def _introduction(card: ModelCard) -> Iterator[str]:
    backbone = (
        "of a person's own (`module.py`)" if card.architecture == CODE_FILE else f"`{card.architecture}`"
    )
    start = "with random weights" if card.module_sha256 is None else "with pretrained weights"
    yield f"Network {backbone} {start}, strategy `{card.strategy}`, trained by hubtune."
    views = ", ".join(view.description for view in card.views)
    yield f"It looks at each picture as: {views}."
    if card.engine is not None:
        yield f"Engine `{card.engine}`: it predicts by a network in int8, for which OpenVINO is needed."
    if card.module_sha256 is not None:
        yield f"SHA-256 of the pretrained weights: `{card.module_sha256}`."


def _class_table(
    card: ModelCard, counts: Counts, sizes: Mapping[str, int], unlabelled: Mapping[str, int]
) -> Iterator[str]:
    names = [name for name in _LISTS if any(lists.get(name) for lists in counts.values()) or sizes.get(name)]
    columns = ["label", "threshold"] if card.multi_label else ["class"]
    yield f"| {' | '.join([*columns, *(f'{_LISTS[name]} pictures' for name in names)])} |"
    yield "|-|" + "-:|" * (len(columns) - 1 + len(names))
    for number, label in enumerate(card.labels[:_MOST_CLASSES]):
        cells = [_as_text(label), *([f"{card.thresholds[number]:.2f}"] if card.multi_label else [])]
        cells += [f"{counts.get(label, {}).get(name, 0):,}" for name in names]
        yield f"| {' | '.join(cells)} |"
    what = "labels" if card.multi_label else "classes"
    if (more := len(card.labels) - _MOST_CLASSES) > 0:
        yield f"\n{more:,} more {what} are in `model.json`."
    if card.multi_label:
        yield "\nA label is given to a picture if its probability reaches the threshold."
    if names:
        sums = sizes or {name: sum(lists.get(name, 0) for lists in counts.values()) for name in names}
        yield f"\nIn all: {', '.join(f'{sums.get(name, 0):,} {_LISTS[name]}' for name in names)}."
    if any(unlabelled.values()):
        without = (f"{unlabelled.get(name, 0):,} {_LISTS[name]}" for name in names)
        yield f"\nWithout a label: {', '.join(without)}."


def _figures(card: ModelCard, chosen: bool) -> Iterator[str]:
    measured = [*_measured(card)]
    if not measured:
        yield "Its accuracy was not measured."
        return
    yield "| list | pictures | accuracy | 95 % interval | log loss |"
    yield "|-|-:|-:|-:|-:|"
    for name, figures in measured:
        low, high = figures["interval"]
        accuracy, interval = f"{100 * figures['accuracy']:.1f} %", f"{100 * low:.1f}–{100 * high:.1f} %"
        yield f"| {_LISTS[name]} | {figures['count']:,} | {accuracy} | {interval} | {figures['loss']:.3f} |"
    if any(name == "test" for name, _ in measured):
        yield "\nNothing was chosen on the test list."
    if chosen and any(name == "validate" for name, _ in measured):
        yield "\nThe model was chosen on the validation list, so that its figure is slightly optimistic."


def _label_figures(card: ModelCard, chosen: bool) -> Iterator[str]:
    measured = [*_measured(card)]
    if not measured:
        yield "It was not measured."
        return
    yield "| list | pictures | mAP | every label right | 95 % interval of that | log loss |"
    yield "|-|-:|-:|-:|-:|-:|"
    for name, figures in measured:
        low, high = figures["interval"]
        mean_ap = f"{100 * figures['mean_ap']:.1f} %" if _has_precision(figures) else "–"
        cells = (
            *(_LISTS[name], f"{figures['count']:,}", mean_ap, f"{100 * figures['accuracy']:.1f} %"),
            *(f"{100 * low:.1f}–{100 * high:.1f} %", f"{figures['loss']:.3f}"),
        )
        yield f"| {' | '.join(cells)} |"
    yield "\nmAP is the mean average precision of the labels, which does not depend on thresholds."
    if any(name == "test" for name, _ in measured):
        yield "\nNothing was chosen on the test list."
    if chosen and any(name == "validate" for name, _ in measured):
        also = "The model and its thresholds were" if card.step else "The model was"
        yield f"\n{also} chosen on the validation list, so that its figures are slightly optimistic."


def _limits(card: ModelCard, counts: Counts) -> Iterator[str]:
    if card.multi_label:
        reject = ""
        if card.similarity_threshold is not None:
            reject = (
                " `hubtune predict --reject` gives no label to pictures unlike the training pictures "
                f"(similarity below {card.similarity_threshold:.2f})."
            )
        yield f"It knows no other labels, and may give its own to pictures of any kind.{reject}"
        yield _describe_thresholds(card)
    elif card.similarity_threshold is None:
        yield "It names one of its classes for every picture, also for one that shows none of them."
    else:
        yield (
            "It names one of its classes for every picture. `hubtune predict --reject` gives no class to "
            f"pictures unlike the training pictures (similarity below {card.similarity_threshold:.2f})."
        )
    yield (
        "Its figures hold for pictures like those of the lists. Other cameras, backgrounds, light or kinds "
        "of objects may lower them: measure it on your own pictures first."
    )
    for name, figures in [*_measured(card)][:1]:
        low, high = figures["interval"]
        half = 50 * (high - low)
        yield (
            f"With {figures['count']:,} {_LISTS[name]} pictures, "
            f"{'the share with every label right' if card.multi_label else 'its accuracy'} is known to about "
            f"±{half:.{0 if half >= 1 else 2}f} percentage points."
        )
    few = [label for label in card.labels if label in counts and counts[label].get("train", 0) < _FEW_IMAGES]
    if few:
        more = f" and {len(few) - 10:,} more" if len(few) > 10 else ""
        names = ", ".join(map(_as_text, few[:10]))
        yield f"Fewer than {_FEW_IMAGES} training pictures: {names}{more}."
    yield (
        "It was not examined for uses in which a mistake does harm, nor for fairness between groups of "
        "people."
    )


def _describe_thresholds(card: ModelCard) -> str:
    if card.step and "validate" not in card.metrics:
        return "Its thresholds are 0.5: there were no validation pictures to choose others on."
    chosen_on = "the validation pictures" if card.step else "training pictures that were left out of a fit"
    return (
        f"Its thresholds were chosen for a high F1 on {chosen_on}. Where a label that is missed costs more "
        "or less than one that is wrongly given, others are better: `hubtune predict --scores --json` has "
        "all probabilities."
    )


def _licence_text(card: ModelCard, licence: str | None) -> str:
    if card.module_sha256 is None:
        return "The model was trained from random weights. Its licence is that of whoever trained it."
    if licence is None:
        return (
            "The licence of the pretrained weights is not known to hubtune: ask whoever published the file "
            "with the checksum above. The licences of the training pictures may matter, too."
        )
    return (
        f"The pretrained weights are published under {_as_text(licence)}. The licences of the training "
        "pictures may matter, too."
    )


def _as_text(name: str) -> str:
    """Return a name as Markdown that shows it, whatever characters it has."""
    return html.escape(_MARKDOWN.sub(r"\\\1", escaped(name)), quote=False)
