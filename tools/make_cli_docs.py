"""Write docs/cli.md and its translations: every command of hubtune with its help, arguments and options.

    python tools/make_cli_docs.py

A test compares the pages with the commands.
"""

import re
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click

from hubtune.cli.commands import hubtune_command
from hubtune.cli.help import translated_option
from hubtune.errors import HubtuneError
from hubtune.messages.translation import translate

_DOCS = Path(__file__).parents[1] / "docs"
PAGES = {"en": _DOCS / "cli.md", "zh": _DOCS / "zh" / "cli.md"}

_ENGLISH = """\
# The command line

Every command with its options, as `hubtune COMMAND --help` prints them. This page is written by \
`python tools/make_cli_docs.py`.

Results go to stdout, messages and progress to stderr. With `--json`, stdout is one JSON document with a \
`schema_version`, also after an error. The exit codes:

| code | meaning |
|-|-|
| 0 | Success. |
{codes}| 130, 143 | Stopped by Ctrl-C or SIGTERM. |
| 141 | The reader of the results has closed the pipe. |
"""
_CHINESE = """\
# 命令行

全部命令及其选项，内容与 `hubtune COMMAND --help` 的输出相同。本页由 `python tools/make_cli_docs.py` 生成。

结果写到标准输出，消息和进度写到标准错误。加上 `--json` 时，标准输出是一个带 `schema_version` 的 JSON 文档，\
出错时也是如此。退出码：

| 退出码 | 含义 |
|-|-|
| 0 | 成功。 |
{codes}| 130, 143 | 被 Ctrl-C 或 SIGTERM 停止。 |
| 141 | 结果的读取方关闭了管道。 |
"""
_INTRODUCTIONS = {"en": _ENGLISH, "zh": _CHINESE}
_HEADINGS = {"en": ("command", "option", "meaning"), "zh": ("命令", "选项", "含义")}
_CHINESE_CODES = {
    2: "命令、参数或参数的组合不可用。",
    3: "图片、文件夹、标签或列表文件不可用。",
    4: "预训练模型、权重、检查点或保存的模型不可用。",
    5: "机器缺少所需的条件：磁盘空间、内存、GPU、权限或网络。",
    6: "训练出现数值错误。",
    7: "文件或文件夹正被另一个进程使用。",
    8: "工作已完成，但所要求的检查没有通过。",
}


def cli_page(language: str) -> str:
    """Return the page in a language."""
    codes = {
        kind.exit_code: (kind.__doc__ or "").partition("\n")[0]
        for kind in HubtuneError.__subclasses__()
        if "exit_code" in vars(kind)
    }
    if language == "zh":
        codes = {code: _CHINESE_CODES[code] for code in codes}
    rows = "".join(f"| {code} | {meaning} |\n" for code, meaning in codes.items())
    context = click.Context(hubtune_command, info_name="hubtune", show_default=True)
    introduction = _INTRODUCTIONS[language].format(codes=rows)
    return "\n".join([introduction, *_sections(hubtune_command, context, language)])


def _sections(command: click.Command, context: click.Context, language: str) -> Iterator[str]:
    yield _section(command, context, language)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _sections(below, click.Context(below, info_name=name, parent=context), language)


def _section(command: click.Command, context: click.Context, language: str) -> str:
    of_commands, of_options, meaning = _HEADINGS[language]
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [
        f"## {context.command_path}",
        "",
        f"`{context.command_path} {usage}`",
        "",
        *_text(command, language),
    ]
    if isinstance(command, click.Group):
        lines += [f"| {of_commands} | |", "|-|-|"]
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            link = f"{context.command_path} {name}".replace(" ", "-")
            lines.append(f"| [`{name}`](#{link}) | {translate(below.get_short_help_str(200), language)} |")
        lines.append("")
    records = [parameter.get_help_record(context) for parameter in command.params]
    rows = [
        f"| `{_cell(names)}` | {_cell(translated_option(text, language))} |"
        for names, text in filter(None, records)
        if text
    ]
    return "\n".join([*lines, *([f"| {of_options} | {meaning} |", "|-|-|", *rows, ""] if rows else [])])


def _text(command: click.Command, language: str) -> Iterator[str]:
    """The help's paragraphs; examples, which click does not wrap, become blocks."""
    for paragraph in re.split(r"\n\s*\n", cleandoc(command.help or "").strip()):
        if paragraph.startswith("\b"):
            lines = [re.sub(" {3,}", "  # ", line.strip()) for line in paragraph.splitlines()[1:]]
            yield from ("```console", *(f"$ {line}" for line in lines), "```", "")
        else:
            yield from (translate(" ".join(paragraph.split()), language), "")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    for code, page in PAGES.items():
        page.write_text(cli_page(code), encoding="utf-8")
