"""Write docs/faq.md and its translations: frequent failures, from hubtune/doctor/faq.py.

    python tools/make_faq.py

A test compares the pages with the entries.
"""

from pathlib import Path

from hubtune.doctor.faq import KNOWN_FAILURES
from hubtune.messages.translation import translate

_DOCS = Path(__file__).parents[1] / "docs"
PAGES = {"en": _DOCS / "faq.md", "zh": _DOCS / "zh" / "faq.md"}

_ENGLISH = """\
# Frequent failures

What users of image classification on Paddle asked most, what hubtune does there, and what helps. \
`hubtune doctor --faq` prints the same. This page is written by `python tools/make_faq.py`.
"""


_CHINESE = """\
# 常见故障

使用飞桨做图像分类的用户最常问的问题：hubtune 怎样处理，以及怎样解决。`hubtune doctor --faq` 输出同样的内容。\
本页由 `python tools/make_faq.py` 生成。
"""
_INTRODUCTIONS = {"en": _ENGLISH, "zh": _CHINESE}


def faq_page(language: str) -> str:
    """Return the page in a language."""
    parts = [_INTRODUCTIONS[language]]
    for number, entry in enumerate(KNOWN_FAILURES, 1):
        cures = "\n".join(entry.cures)
        seen, cause, answer = (translate(text, language) for text in (entry.seen, entry.cause, entry.answer))
        parts.append(f"## {number}. {seen}\n\n{cause}\n\n{answer}\n\n```text\n{cures}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    for code, page in PAGES.items():
        page.write_text(faq_page(code), encoding="utf-8")
