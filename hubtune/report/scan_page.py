"""Render the issues of a scan as one HTML file that needs nothing else."""

import base64
import hashlib
import io
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import BaseLoader, Environment, StrictUndefined
from PIL import Image

from hubtune.data.audit.issues import Issue, IssueFile
from hubtune.data.images.decode import ImageError
from hubtune.data.images.verify import check_pixels
from hubtune.data.scan.scanner import Scan
from hubtune.text import escaped

MAX_FILES = 60
"""Most files in a section; it says how many more there are."""

_SIDE = 160  # of a thumbnail, pixels
_QUALITY = 80


def render_scan_page(source: str, scan: Scan, issues: Sequence[Issue]) -> str:
    """Return the page for what was scanned: HTML without code, and without any request to the network.

    Thumbnails are decoded and saved again, so that they carry no metadata, such as where a photo was taken.
    """
    folder = files("hubtune.report") / "templates"
    style = (folder / "scan.css").read_text(encoding="utf-8")
    environment = Environment(loader=BaseLoader(), autoescape=True, undefined=StrictUndefined)
    environment.filters["shown"] = escaped
    template = environment.from_string((folder / "scan.html").read_text(encoding="utf-8"))
    sizes = {label: len(own) for label, own in scan.classes.items()}
    return template.render(
        source=source,
        style=style,
        # The policy allows only the style with this hash (CSP 3, 2.3.1), and none from a file's name.
        style_sum=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        sizes=sizes,
        largest=max(sizes.values(), default=0),
        total=sum(sizes.values()),
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
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()
