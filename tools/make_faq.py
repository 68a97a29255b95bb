"""Write docs/faq.md: the failures that people ask about most, from hubtune/doctor/faq.py.

    python tools/make_faq.py

A test compares the page with the entries.
"""

from pathlib import Path

from hubtune.doctor.faq import KNOWN_FAILURES

PAGE = Path(__file__).parents[1] / "docs" / "faq.md"

_INTRODUCTION = """\
# Frequent failures

What users of image classification on Paddle asked most, what hubtune does there, and what helps. \
`hubtune doctor --faq` prints the same. This page is written by `python tools/make_faq.py`.
"""


def faq_page() -> str:
    """Return the page."""
    parts = [_INTRODUCTION]
    for number, entry in enumerate(KNOWN_FAILURES, 1):
        cures = "\n".join(entry.cures)
        parts.append(
            f"## {number}. {entry.seen}\n\n{entry.cause}\n\n{entry.answer}\n\n```text\n{cures}\n```\n"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(faq_page(), encoding="utf-8")
