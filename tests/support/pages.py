"""Pages: their elements, and what makes one safe to open."""

import base64
import hashlib
import re
from html.parser import HTMLParser

HOSTILE = '"><script>alert(1)</script><img src=http://evil/ onerror=x>'

HOSTILE_NAMES = (
    HOSTILE,
    "{{ 7 * 7 }}{% raise %}",
    "javascript:alert(1)",
    "a\u202eb",
    "x" * 300,
    "%(name)s %s",
    "&lt;b>",
)
"""Names that would do something if they were not escaped."""


class PageElements(HTMLParser):
    """The elements of a page in order, and the texts between them."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.words = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def all(self, name):
        return [attributes for tag, attributes in self.elements if tag == name]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def check_closed(page):
    """Check that a page runs no code and names no place outside but files; returns its elements."""
    elements = PageElements(page)
    assert not {"script", "iframe", "object", "embed", "form", "base", "link"} & {
        tag for tag, _ in elements.elements
    }
    for tag, attributes in elements.elements:
        assert not {name for name in attributes if name.startswith("on") or name == "style"}, tag
        for name in ("src", "href", "srcset", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("data:image/", "file:", "#")), attributes
    [policy] = [
        meta["content"]
        for meta in elements.all("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    [style] = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.split("; ")[:3] == ["default-src 'none'", "img-src data:", f"style-src 'sha256-{digest}'"]
    assert not re.search(r"url\(|@import", style)
    return elements
