"""Outputs of a notebook's cells: their elements, and a stand-in for IPython that keeps them."""

import sys
from types import ModuleType, SimpleNamespace
from xml.etree import ElementTree


class CellHtml:
    """The elements of an output, which is well formed, makes no request and runs no code."""

    def __init__(self, html):
        assert html is not None
        self.root = ElementTree.fromstring(html)
        for element in self.root.iter():
            assert element.tag not in {"script", "style", "link", "object", "embed", "form", "a"}
            assert not [name for name in element.attrib if name.startswith("on") or name == "href"]
            assert element.get("src", "data:image/").startswith("data:image/")
            assert "url(" not in element.get("style", "")
            if element.tag == "iframe":
                assert element.get("sandbox") == ""

    @property
    def text(self):
        return " ".join(" ".join(self.root.itertext()).split())

    @property
    def rows(self):
        """The cells of all tables as texts, row by row."""
        rows = [[" ".join(cell.itertext()) for cell in row] for row in self.root.iter("tr")]
        return [[" ".join(cell.split()) for cell in row] for row in rows]

    @property
    def alerts(self):
        return ["".join(box.itertext()) for box in self.all("div") if box.get("role") == "note"]

    @property
    def strong(self):
        """The first cells of bold rows."""
        cells = [row[0] for row in self.root.iter("tr")]
        return ["".join(cell.itertext()) for cell in cells if "weight:600" in cell.get("style")]

    def all(self, tag):
        return list(self.root.iter(tag))


def fake_notebook(monkeypatch, *, kernel=True):
    """Put a stand-in for IPython into place; returns the list of the outputs, each a list of its states."""
    outputs = []

    class Handle:
        def __init__(self, states):
            self._states = states

        def update(self, content, *, raw):
            assert raw and content["text/plain"] is not None
            self._states.append(content)

    def display(content, *, raw, display_id):
        assert raw and display_id
        outputs.append([content])
        return Handle(outputs[-1])

    package, module = ModuleType("IPython"), ModuleType("IPython.display")
    shell = SimpleNamespace(kernel=object()) if kernel else SimpleNamespace()
    package.get_ipython, package.display, module.display = lambda: shell, module, display
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return outputs
