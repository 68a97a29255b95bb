"""Write the ``README.md`` of a model folder: what the model is, how good, for what, and how to use it.

Its header has the metadata of the Hugging Face Hub's model cards, https://huggingface.co/docs/hub/model-cards.
"""

import html
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from hubtune.hub.file_names import CODE_FILE
from hubtune.inference.model_card import ModelCard
from hubtune.text import escaped

README_FILE = "README.md"

_MOST_CLASSES = 200
_FEW_IMAGES = 20  # of a class in training
_LISTS = {"train": "training", "validate": "validation", "test": "test"}
# Punctuation that Markdown may read as its own; a backslash before it makes it text (CommonMark 0.31, 2.4).
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~:@$^=.-])")

Counts = Mapping[str, Mapping[str, int]]
"""Class → number of images in each list, by the list's name."""


def render_model_readme(card: ModelCard, counts: Counts, *, licence: str | None, chosen: bool) -> str:
    """Return the text of ``README.md`` for a model.

    Args:
        card: the model's description.
        counts: class → number of images in each list; empty if they are unknown.
        licence: SPDX identifier of the weights that the model was made from; ``None`` if it is unknown, or
            there were none.
        chosen: whether the model was chosen on the validation list.
    """
    header = yaml.safe_dump(_metadata(card, licence), sort_keys=False, allow_unicode=True)
    parts = [
        f"---\n{header}---",
        f"# Image classifier of {len(card.labels):,} classes",
        "\n".join(_introduction(card)),
        "## Classes and data",
        "\n".join(_class_table(card, counts)),
        "## Figures",
        "\n".join(_figures(card, chosen)),
        "## Intended use",
        f"Pictures like those that it was trained on, each of one of the {len(card.labels):,} classes.",
        "## Limits",
        "\n".join(f"- {limit}" for limit in _limits(card, counts)),
        "## Licence",
        _licence_text(card, licence),
        "## Use",
        _USE,
    ]
    return "\n\n".join(parts) + "\n"


_USE = """\
The folder has all that prediction needs, and `manifest.json` has the checksums of its files. With hubtune, \
`pip install "hubtune[cpu]"`:

```console
$ hubtune predict PICTURES --model MODEL_FOLDER
$ hubtune evaluate MODEL_FOLDER --on PICTURES
```

```python
import hubtune

for row in hubtune.load_model("MODEL_FOLDER").predict(["a.jpg", "b.jpg"]):
    print(row.path, row.label, row.score, row.error)
```"""


def _metadata(card: ModelCard, licence: str | None) -> dict[str, Any]:
    results = [
        {
            "task": {"type": "image-classification"},
            "dataset": {"type": "imagefolder", "name": f"{_LISTS[name]} list", "split": name},
            "metrics": [{"type": "accuracy", "value": figures["accuracy"]}],
        }
        for name, figures in _measured(card)
    ]
    metadata: dict[str, Any] = {
        "license": licence.lower() if licence else "unknown",
        "library_name": "hubtune",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "hubtune", "paddlepaddle"],
        "metrics": ["accuracy"],
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


def _class_table(card: ModelCard, counts: Counts) -> Iterator[str]:
    names = [name for name in _LISTS if any(lists.get(name) for lists in counts.values())]
    yield f"| class | {' | '.join(f'{_LISTS[name]} pictures' for name in names)} |" if names else "| class |"
    yield "|-|" + "-:|" * len(names)
    for label in card.labels[:_MOST_CLASSES]:
        numbers = [f"{counts.get(label, {}).get(name, 0):,}" for name in names]
        yield f"| {' | '.join([_as_text(label), *numbers])} |"
    if (more := len(card.labels) - _MOST_CLASSES) > 0:
        yield f"\n{more:,} more classes are in `model.json`."
    if names:
        totals = [
            f"{sum(lists.get(name, 0) for lists in counts.values()):,} {_LISTS[name]}" for name in names
        ]
        yield f"\nIn all: {', '.join(totals)}."


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


def _limits(card: ModelCard, counts: Counts) -> Iterator[str]:
    if card.similarity_threshold is None:
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
            f"With {figures['count']:,} {_LISTS[name]} pictures, its accuracy is known to about "
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
