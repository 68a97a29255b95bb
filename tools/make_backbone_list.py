"""Write ``docs/backbones.md`` and its translations, the lists of all backbones, from ``hubtune/models``.

command: python tools/make_backbone_list.py
"""

from pathlib import Path

from hubtune.models.catalog import BACKBONES, PRETRAINED, Pretrained

_DOCS = Path(__file__).parents[1] / "docs"
PAGES = {"en": _DOCS / "backbones.md", "zh": _DOCS / "zh" / "backbones.md"}

_ENGLISH = """\
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
_CHINESE = """\
# 骨干网络

<!-- Written by `python tools/make_backbone_list.py` from the records in hubtune/models. -->

hubtune 支持的全部预训练模型名称：共 {names} 个，对应 {backbones} 种网络结构。\
`hubtune hub list` 输出同样的表，`hubtune hub show NAME` 显示其中某一个的更多信息；\
使用和添加骨干网络的方法见[预训练模型与权重](modules.md)。

*又名*一列是别名。*输入*是正方形输入图片的边长，*其他尺寸*是除此之外还可以使用的边长。\
*top-1* 和 *top-5* 是这些权重公布的 ImageNet 准确率，以百分数表示，并非在此实测。\
*校验和*是权重文件所公布的校验和的类型；没有公布校验和的权重**未经校验**：\
首个文件的校验和会被记录下来，之后的文件必须与之一致。

| 名称 | 又名 | 参数量 | 特征维度 | 输入 | 其他尺寸 | top-1 | top-5 | 权重 | 许可证 | 校验和 |
|-|-|-|-|-|-|-|-|-|-|-|
"""
_INTRODUCTIONS = {"en": _ENGLISH, "zh": _CHINESE}
# no other size, any size, the sizes that work, the link to weights, no weights or checksum, between aliases
_WORDS = {
    "en": ("no other", "any", "multiples of {}", "file", "none", ", "),
    "zh": ("无", "任意", "{} 的倍数", "文件", "无", "、"),
}


def backbone_page(language: str) -> str:
    """Return the page in a language."""
    introduction = _INTRODUCTIONS[language].format(names=len(PRETRAINED), backbones=len(BACKBONES))
    return introduction + "".join(f"| {' | '.join(_row(entry, language))} |\n" for entry in PRETRAINED)


def _row(entry: Pretrained, language: str) -> list[str]:
    no_other, any_size, multiples, file, none, comma = _WORDS[language]
    backbone, weights = entry.backbone, entry.weights
    multiple = backbone.size_multiple
    sizes = no_other if multiple is None else any_size if multiple == 1 else multiples.format(multiple)
    cells = [
        f"`{entry.name}`",
        comma.join(f"`{alias}`" for alias in entry.aliases),
        f"{backbone.parameters / 1e6:.2f} M",
        f"{backbone.width:,}",
        str(backbone.input_size),
        sizes,
    ]
    if weights is None:
        return [*cells, "", "", none, "", ""]
    published = "sha256" if weights.sha256 else "md5" if weights.md5 else none
    accuracy = ["" if value is None else f"{value:.2f}" for value in (weights.top1, weights.top5)]
    return [*cells, *accuracy, f"[{file}]({weights.url})", weights.licence, published]


if __name__ == "__main__":
    for code, page in PAGES.items():
        page.write_text(backbone_page(code), encoding="utf-8", newline="\n")
