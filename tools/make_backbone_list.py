"""Write ``docs/backbones.md``, the list of all backbones, from the records in ``hubtune/models``.

command: python tools/make_backbone_list.py
"""

from pathlib import Path

from hubtune.models.catalog import BACKBONES, PRETRAINED, Pretrained

PAGE = Path(__file__).parents[1] / "docs" / "backbones.md"

_INTRODUCTION = """\
# Backbones

<!-- Written by `python tools/make_backbone_list.py` from the records in hubtune/models. -->

Every hub name that hubtune knows: {names} names for {backbones} architectures. `hubtune hub list` prints \
the same table, `hubtune hub show NAME` shows more about one, and [modules.md](modules.md) explains how to \
use and how to add one.

*Also* lists aliases. *Input* is the side of the square picture, *sizes* the other sides that work. *Top-1* \
and *top-5* are the published ImageNet accuracies of the weights in percent, not measured here. *Sum* is the \
kind of checksum that is published for the weights file; where there is none, the weights are **not \
verified**: the checksum of the first file is recorded, and later files must match it.

| name | also | parameters | features | input | sizes | top-1 | top-5 | weights | licence | sum |
|-|-|-|-|-|-|-|-|-|-|-|
"""


def backbone_page() -> str:
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
    PAGE.write_text(backbone_page(), encoding="utf-8", newline="\n")
