"""The notebooks run without a network, show what they promise, and say nothing about the machine."""

import re

import pytest
from support.notebooks import CellHtml
from support.pages import PageElements
from support.scripts import load_script

tool = load_script("make_notebook")

_MOST_BYTES = 400_000


def _stored(language):
    return tool.read_notebook(tool.NOTEBOOKS[language])


def _code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _shown(cell):
    """The HTML that a cell shows; ``None`` if it shows nothing."""
    assert not [output for output in cell.outputs if output.output_type in ("error", "stream")]
    pages = [output.data["text/html"] for output in cell.outputs]
    assert len(pages) < 2
    return CellHtml(pages[0]) if pages else None


def _check(notebook):
    """Check what the cells show; figures themselves differ between processors."""
    settings, pictures, split, training, run, predictions, model = map(_shown, _code(notebook))
    assert settings is None and pictures is None
    assert [row[0] for row in split.rows[1:4]] == ["7", "8", "9"] and len(split.all("img")) == 15
    bold = [row for row in training.all("tr") if "weight:600" in row[0].get("style")]
    assert len(bold) == 3  # heading, best and test
    accuracy = float(run.rows[1][1].removesuffix(" %"))
    assert accuracy > 75  # the most frequent class is a third
    [frame] = run.all("iframe")
    report = PageElements(frame.get("srcdoc"))
    assert f"{accuracy:.1f}" in report.text and report.all("img")
    assert len(predictions.all("img")) == 8
    assert model.rows[0][1] == "7 · 8 · 9"


@pytest.mark.parametrize("language", tool.NOTEBOOKS)
def test_stored_outputs_are_complete_small_and_of_no_machine(language):
    file = tool.NOTEBOOKS[language]
    text = file.read_text("utf-8")
    assert len(text.encode()) < _MOST_BYTES
    notebook = _stored(language)
    assert text == tool.notebook_text(tool.clean(notebook)), "run: python tools/make_notebook.py"
    assert [cell.execution_count for cell in _code(notebook)] == [1, 2, 3, 4, 5, 6, 7]
    _check(notebook)
    assert not re.search(r"file:|/(?:home|root|tmp|work|usr|var|Users)/|[A-Z]:\\|\d\d:\d\d:\d\d", text)


def test_the_code_of_the_translation_is_the_same():
    english, chinese = (_stored(language) for language in ("en", "zh"))
    assert [cell.source for cell in _code(english)] == [cell.source for cell in _code(chinese)]
    kinds = [[cell.cell_type for cell in notebook.cells] for notebook in (english, chinese)]
    assert kinds[0] == kinds[1]
    for one, other in zip(english.cells, chinese.cells, strict=True):
        # Names and links; their order may differ.
        same = [sorted(re.findall(r"`[^`]+`|\(\.\./[^)]*\)", cell.source)) for cell in (one, other)]
        assert same[0] == same[1]


@pytest.mark.parametrize("language", tool.NOTEBOOKS)
def test_links_lead_to_pages(language):
    for cell in _stored(language).cells:
        for target in re.findall(r"\]\(([^)]+)\)", cell.source):
            assert (tool.NOTEBOOKS[language].parent / target).is_file(), target


@pytest.mark.slow
def test_it_runs_in_an_empty_folder_without_a_network(tmp_path):
    notebook = _stored("en")
    for cell in _code(notebook):
        cell.outputs, cell.execution_count = [], None
    _check(tool.run_notebook(notebook, tmp_path, "en"))
    assert (tmp_path / "runs" / "idol" / "report.html").is_file()


def test_what_differs_from_run_to_run_is_removed(tmp_path):
    used = "&lt;section id=&#34;used&#34;&gt;3 seconds\n&lt;/section&gt;"
    link = "&lt;li&gt;&lt;a href=&#34;#used&#34;&gt;What was used&lt;/a&gt;&lt;/li&gt;"
    node = tool.nbformat.v4
    output = node.new_output("display_data", {"text/html": f"a{link}b{used}c"}, metadata={"when": "now"})
    cell = node.new_code_cell("1", outputs=[output], metadata={"execution": {"iopub": "12:00:00"}})
    cleaned = tool.clean(
        node.new_notebook(cells=[cell], metadata={"language_info": {"name": "python", "version": "3"}})
    )
    assert cleaned.cells[0].outputs[0].data["text/html"] == "abc"
    assert "when" not in tool.notebook_text(cleaned) and "12:00" not in tool.notebook_text(cleaned)
    assert cleaned.metadata.language_info == {"name": "python"}
