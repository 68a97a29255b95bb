"""The page that shows what a scan has found: one HTML file that needs nothing else."""

import base64
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import BaseLoader, Environment, StrictUndefined
from PIL import Image

from hubtune.data.audit.issues import Issue, Item
from hubtune.data.images.decode import ImageError
from hubtune.data.images.verify import check_pixels
from hubtune.data.scan.scanner import Scan
from hubtune.text import escaped

MOST_SHOWN = 60
"""A section shows no more files than these, and says how many more there are."""

_SIDE = 160  # of a thumbnail, pixels
_QUALITY = 80


@dataclass(frozen=True)
class _Shown:
    """A file on the page.

    Attributes:
        name: how its source calls it.
        label: its class, or an empty string.
        note: what is particular to it.
        address: of the file, to open it.
        thumbnail: a data address; ``None`` for what cannot be read.
    """

    name: str
    label: str
    note: str
    address: str
    thumbnail: str | None


@dataclass(frozen=True)
class _Section:
    finding: Issue
    groups: list[list[_Shown]]
    more: int


def scan_page(source: str, scan: Scan, findings: Sequence[Issue]) -> str:
    """Make the page.

    Thumbnails are drawn anew, so that nothing else of the files is in it, such as where a photo was taken.

    Args:
        source: what was scanned, as the person called it.
        scan: what was found.
        findings: what is to be seen to.

    Returns:
        HTML that neither runs code nor asks the network for anything.
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
        # The one style is named by its sum (CSP 3, 2.3.1): none that a file's name may bring in counts.
        style_sum=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        sizes=sizes,
        largest=max(sizes.values(), default=0),
        total=sum(sizes.values()),
        sections=[_section(finding) for finding in findings],
        remarks=scan.notes,
    )


def _section(finding: Issue) -> _Section:
    room = MOST_SHOWN
    groups = []
    for group in finding.groups:
        if not room:
            break
        groups.append([_show(item) for item in group[:room]])
        room -= len(groups[-1])
    return _Section(finding, groups, sum(map(len, finding.groups)) - (MOST_SHOWN - room))


def _show(item: Item) -> _Shown:
    return _Shown(item.name, item.label or "", item.note, item.path.absolute().as_uri(), _thumbnail(item))


def _thumbnail(item: Item) -> str | None:
    try:
        image = check_pixels(item.path, side=_SIDE).small
    except ImageError:
        return None
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
