"""Run the notebooks in docs/notebooks and docs/zh/notebooks, and store what they show.

    python tools/make_notebook.py

The text of a notebook is edited in place, and so is the code of the English one, which the translation gets.
Each is run from its beginning in an empty folder, without a network, in its own language. Stored outputs say
nothing about the machine or the time: the same cells give the same file on the same machine. Needs
``pip install -e ".[test]"``.
"""

import json
import os
import re
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

_DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOKS = {"en": _DOCS / "notebooks" / "idol.ipynb", "zh": _DOCS / "zh" / "notebooks" / "idol.ipynb"}
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
_SECONDS = 600
# Of the report in a cell: what was used, with versions, times and the processor, and the link to it.
_USED = re.compile(
    r"&lt;section id=&#34;used&#34;.*?&lt;/section&gt;\s*"
    r"|&lt;li&gt;&lt;a href=&#34;#used&#34;.*?&lt;/li&gt;\s*",
    re.DOTALL,
)


def read_notebook(file: Path) -> nbformat.NotebookNode:
    """Read a notebook in the newest format that this tool writes."""
    return nbformat.read(file, as_version=4)


def run_notebook(notebook: nbformat.NotebookNode, folder: Path, language: str) -> nbformat.NotebookNode:
    """Run a notebook's cells in an empty folder; returns it with the outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    environment = {
        **os.environ,
        "HUBTUNE_HOME": str(folder / ".hubtune"),
        "HUBTUNE_LANG": language,
        "HUBTUNE_OFFLINE": "1",
        "IPYTHONDIR": str(folder / ".ipython"),
    }
    client = NotebookClient(
        notebook,
        timeout=_SECONDS,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    return client.execute(env=environment)


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Remove from a notebook what differs from run to run; returns it."""
    notebook.metadata = nbformat.from_dict(_METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells, 1):
        cell.id, cell.metadata = f"cell-{number}", nbformat.from_dict({})
        for output in cell.get("outputs", []):
            output.pop("metadata", None)
            if "data" in output:
                output.metadata = nbformat.from_dict({})
                page = output.data.get("text/html")
                if page is not None:
                    output.data["text/html"] = _USED.sub("", page)
    return notebook


def notebook_text(notebook: nbformat.NotebookNode) -> str:
    """Return the content of a notebook's file, as Jupyter writes it."""
    nbformat.validate(notebook)
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def main() -> None:
    english = read_notebook(NOTEBOOKS["en"])
    code = [cell.source for cell in english.cells if cell.cell_type == "code"]
    for language, file in NOTEBOOKS.items():
        notebook = read_notebook(file)
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        for cell, source in zip(cells, code, strict=True):
            cell.source = source
        with tempfile.TemporaryDirectory() as folder:
            run_notebook(notebook, Path(folder), language)
        text = notebook_text(clean(notebook))
        file.write_text(text, encoding="utf-8")
        print(f"{file.relative_to(_DOCS.parent)}: {len(text.encode()):,} bytes")


if __name__ == "__main__":
    main()
