"""Render the issues of a scan as one HTML file that needs nothing else."""

import io
from collections.abc import Sequence
from typing import Any

from PIL import Image

from hubtune.data.audit.issues import Issue, IssueFile
from hubtune.data.images.decode import ImageError
from hubtune.data.images.verify import check_pixels
from hubtune.data.scan.scanner import Scan
from hubtune.messages.catalogue import language
from hubtune.notebook.html import data_address
from hubtune.report.html_page import render_page

MAX_FILES = 60
"""Most files in a section; it says how many more there are."""

_SIDE = 160  # of a thumbnail, pixels
_QUALITY = 80


def render_scan_page(source: str, scan: Scan, issues: Sequence[Issue]) -> str:
    """Return the page for what was scanned: HTML without code, and without any request to the network.

    Thumbnails are decoded and saved again, so that they carry no metadata, such as where a photo was taken.
    """
    sizes = scan.sizes
    return render_page(
        "scan",
        language(),
        source=source,
        sizes=sizes,
        largest=max(sizes.values(), default=0),
        total=sum(map(len, scan.classes.values())),
        by_label=scan.label_sets is not None,
        sections=[_make_section(issue) for issue in issues],
        remarks=scan.notes,
    )


def _make_section(issue: Issue) -> dict[str, Any]:
    """The issue, its files by group with address and thumbnail, and the number of files not shown."""
    left = MAX_FILES
    groups = []
    for group in issue.groups:
        groups.append(
            [
                {"file": file, "address": file.path.absolute().as_uri(), "thumbnail": _thumbnail(file)}
                for file in group[:left]
            ]
        )
        left -= len(groups[-1])
        if not left:
            break
    more = sum(map(len, issue.groups)) - (MAX_FILES - left)
    return {"issue": issue, "groups": groups, "more": more}


def _thumbnail(file: IssueFile) -> str | None:
    try:
        image = check_pixels(file.path, side=_SIDE).small
    except ImageError:
        return None
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    content = io.BytesIO()
    image.save(content, "JPEG", quality=_QUALITY)
    return data_address(content.getvalue(), "jpeg")
