"""The examples in README, docs and recipes: commands and keys exist, and Python blocks run."""

import re
import shlex
import shutil
from itertools import pairwise

import click
import pytest
from support.images import draw_tree
from support.scripts import ROOT

import hubtune
from hubtune.cli.commands import hubtune_command
from hubtune.cli.language import chosen_language
from hubtune.log import logger
from hubtune.recipe.load import load_recipe

PAGES = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("datasets/*.md"))]
}
RECIPES = sorted(ROOT.glob("recipes/*.yaml"))
COMMAND = r"\bhubtune (?=[a-z])"


def _blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def _commands():
    """Page, command, and whether it is complete: within sentences, arguments may be missing."""
    for page, text in PAGES.items():
        for block in _blocks(text, "console"):
            yield from ((page, line, True) for line in re.findall(rf"(?m)^\$ .*?{COMMAND}(.*)", block))
        prose = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
        if page != "docs/cli.md":  # which is made of the commands themselves
            for code in re.findall(rf"`{COMMAND}([^`\n]*)`", prose):
                # Alternatives, as in `hubtune import paddleclas | paddlehub`, and ellipses are cut off.
                yield page, code.partition(" | ")[0].replace("…", ""), False
    for recipe in RECIPES:
        yield recipe.name, re.split(COMMAND, recipe.read_text("utf-8").partition("\n")[0])[-1], True


def _command(words):
    command = hubtune_command
    context = click.Context(command, info_name="hubtune")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, *words = words
        below = command.get_command(context, name)
        assert below is not None, f"there is no command {name!r}"
        command, context = below, click.Context(below, info_name=name, parent=context)
    return command, context, words


@pytest.mark.parametrize(("page", "line", "complete"), [*_commands()])
def test_every_command_line_is_accepted(page, line, complete, monkeypatch):
    monkeypatch.setenv("HUBTUNE_LANG", "en")  # put back where --lang sets it
    command, context, arguments = _command(chosen_language(shlex.split(line, comments=complete)))
    if not complete and "--help" not in arguments:
        command.make_parser(context).parse_args(arguments)
    if complete and not isinstance(command, click.Group):
        command.make_context(context.info_name, arguments, parent=context.parent)
    keys = [value for flag, value in pairwise(arguments) if flag == "-o" and "=" in value]
    if complete and keys:
        load_recipe(ROOT / "recipes" / "trashnet.yaml", keys)
    for word in arguments:
        if complete and word.startswith("recipes/") and word != "recipes/mine.yaml":
            assert (ROOT / word).is_file(), word


def test_links_lead_to_pages_and_headings():
    for page, text in {**PAGES, "CONTRIBUTING.md": (ROOT / "CONTRIBUTING.md").read_text("utf-8")}.items():
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
            path, _, heading = target.partition("#")
            file = (ROOT / page).parent / path if path else ROOT / page
            assert file.exists(), f"{page}: {target}"
            if heading:
                titles = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
                anchors = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
                assert heading in anchors, f"{page}: {target}"


def _fragments():
    """Page and recipe: YAML blocks, completed where they show only some sections."""
    for page, text in PAGES.items():
        for block in _blocks(text, "yaml"):
            keys = re.findall(r"^(\w+):", block, re.MULTILINE)
            if not set(keys) <= {"data", "module", "strategy", "train", "run"}:
                continue  # the description of a module
            # A block may show several ways to write a section.
            parts = [block] if len(set(keys)) == len(keys) else block.splitlines()
            for part in filter(str.strip, parts):
                for line in ("data: {base: pics}", "module: resnet50_imagenet"):
                    if not re.search(rf"^{line.partition(':')[0]}:", part, re.MULTILINE):
                        part = f"{part}\n{line}"
                yield page, part


@pytest.mark.parametrize(("page", "text"), [*_fragments()])
def test_every_recipe_is_valid(page, text, tmp_path):
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
    load_recipe(tmp_path / "recipe.yaml")


# Page → number of its Python blocks that run with a small network on drawn images, one after the other.
# tests/paddlehub runs those of paddlehub-1x.md, test_export_examples.py and tests/export those of
# exporting.md, tests/serve that of serving.md; those of paddlehub.md need PaddleHub.
RUNNING = {"README.md": 1, **dict.fromkeys(("docs/callbacks.md", "docs/data.md"), 2)}
RUNNING |= dict.fromkeys(("docs/modules.md", "docs/scikit-learn.md", "docs/sources.md"), 1)
ELSEWHERE = {
    f"docs/{name}.md" for name in ("paddlehub-1x", "paddlehub", "architecture", "exporting", "serving")
}
SUBSTITUTES = {'"resnet50_imagenet"': '"digitnet"', '"s3://bucket/pics"': '"pics"'}
SUBSTITUTES |= dict.fromkeys(("num_epoch=5", "num_epoch=20"), "num_epoch=1")
SUBSTITUTES |= dict.fromkeys(('"datasets/trashnet"', '"datasets/idol5"'), '"given"')


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNING)
def test_python_blocks_run(page, tmp_path, monkeypatch, capsys):
    # A handler that an earlier test left behind writes to that test's stream, which is closed.
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.chdir(tmp_path)
    draw_tree(tmp_path / "pics", {"a": 10, "b": 10})
    hubtune.split("pics", val=2, test=2).write("given")
    for name in ("a.jpg", "b.jpg", "cat.jpg"):
        shutil.copy("pics/a/000.png", name)
    (tmp_path / "labels.csv").write_text("path,label,patient\na.jpg,a,1\nb.jpg,b,2\n")
    module = hubtune.Module("digitnet")
    config = hubtune.RunConfig(num_epoch=1, checkpoint_dir="runs/first")
    names = {
        "hubtune": hubtune,
        "task": hubtune.ImageClassifierTask(module, hubtune.ListDataset("given"), config),
        "images": __import__("paddle").rand([1, 3, 32, 32]),
    }
    for block in _blocks(PAGES[page], "python"):
        for old, new in SUBSTITUTES.items():
            block = block.replace(old, new)
        exec(block, names)  # noqa: S102  # what the docs tell people to run
    assert "Traceback" not in capsys.readouterr().err


def test_every_python_block_is_run_and_the_readme_is_short_and_names_all_pages():
    blocks = {page: len(_blocks(text, "python")) for page, text in PAGES.items() if "```python" in text}
    assert {page for page in blocks if page not in RUNNING} == ELSEWHERE
    assert {page: blocks[page] for page in RUNNING} == RUNNING
    linked = set(re.findall(r"\((docs/[\w-]+\.md)", PAGES["README.md"]))
    assert linked == {page for page in PAGES if page.startswith("docs/")}
    assert len(PAGES["README.md"].splitlines()) <= 120
    assert (ROOT / "docs" / "demo.png").is_file()
