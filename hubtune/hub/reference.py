"""The page of all backbones, from their records: ``python -m hubtune.hub.reference docs/backbones.md``."""

import sys
from pathlib import Path

from hubtune.models.catalog import BACKBONES, PRETRAINED, Pretrained

_INTRODUCTION = """\
# Backbones

<!-- Written by `python -m hubtune.hub.reference docs/backbones.md` from the records in hubtune/models. -->

Every hub name that hubtune knows: {names} names for {backbones} architectures. `hubtune hub list` shows the \
same table, `hubtune hub show NAME` more of one, and [modules.md](modules.md) how to use and to add one.

*Also* are other names for the same. *Input* is the side of the square picture, *sizes* which other sides \
work. *Top-1* and *top-5* are ImageNet accuracies in percent as they were published for the weights, not \
measured here. *Sum* says whether a sum of the weights file is published; where none is, the weights are \
**not verified**: the sum of the first file is recorded, and holds from then on.

| name | also | parameters | features | input | sizes | top-1 | top-5 | weights | licence | sum |
|-|-|-|-|-|-|-|-|-|-|-|
"""


def page() -> str:
    """Return the page's text."""
    introduction = _INTRODUCTION.format(names=len(PRETRAINED), backbones=len(BACKBONES))
    return introduction + "".join(f"| {' | '.join(_row(entry))} |\n" for entry in PRETRAINED)


def _row(entry: Pretrained) -> list[str]:
    backbone, weights = entry.backbone, entry.weights
    multiple = backbone.size_multiple
    sizes = "no other" if multiple is None else "any" if multiple == 1 else f"multiples of {multiple}"
    cells = [
        f"`{entry.name}`",
        ", ".join(f"`{alias}`" for alias in entry.aliases),
        f"{backbone.parameters / 1e6:.2f} M",
        f"{backbone.width:,}",
        str(backbone.input_size),
        sizes,
    ]
    if weights is None:
        return [*cells, "", "", "none", "", ""]
    published = "sha256" if weights.sha256 else "md5" if weights.md5 else "none"
    accuracy = ["" if value is None else f"{value:.2f}" for value in (weights.top1, weights.top5)]
    return [*cells, *accuracy, f"[file]({weights.url})", weights.licence, published]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8", newline="\n")
