"""Find the messages in hubtune's code: texts and f-strings that read like words, and the help of commands.

A message is written as its template: ``{files} written to {folder}``. The names of the fields come from the
expressions. Alternatives in an f-string (``{'is' if count == 1 else 'are'}``) make a message each, so that a
translation is of a whole sentence. ``words.txt`` lists words that stand alone, and ``not_messages.txt`` what
only looks like a message.
"""

import ast
import itertools
import re
from collections.abc import Iterator, Sequence
from inspect import cleandoc
from pathlib import Path

import click
from make_recipe_reference import reference_rows

from hubtune.cli.commands import hubtune_command
from hubtune.cli.help import paragraphs
from hubtune.recipe.shipped import shipped_recipes

PACKAGE = Path(__file__).parents[1] / "hubtune"
NOT_MESSAGES = Path(__file__).with_name("not_messages.txt")
# Words and short phrases that stand alone: headings, states, and what is put together in several places.
WORDS = Path(__file__).with_name("words.txt")

# Texts of networks, of other languages' sources, and of PaddleHub's interface, whose log is PaddleHub's.
_OTHER_TEXTS = (
    "messages/",
    "notebook/html.py",
    "notebook/kernel.py",
    "paddlehub/",
    "report/model_readme.py",
    "report/charts.py",
    "export/paddlehub_template.py",
)
_MOST_VARIANTS = 16
_NUMBERS = {"len", "round", "sum", "int", "abs", "count"}
_TRANSLATES_ITSELF = {"gettext", "ngettext", "_"}
_NO_MESSAGES_IN = {"compile", "fullmatch", "match", "search", "sub", "findall", "split", "startswith"}
_NO_MESSAGES_IN |= {
    "endswith",
    "TypeVar",
    "NewType",
    "cast",
    "getattr",
    "import_module",
    "strptime",
    "option",
}
_TITLE = re.compile(r"\s*([A-Z][a-z]+(?: [a-z]+)*:)(?: |$)")
_CONVERSION = re.compile(
    r"\{\w*(?::[,.\d]*[dfgs]?)?\}|%(?:\((?P<name>\w+)\))?[-+]?(?:\.\d+)?(?P<kind>[sdrfgexa%])"
)

# Texts that click writes itself.
_CLICK = (
    "Usage: {usage}",
    "Try '{command} {option}' for help.",
    "No such option: {name}",
    "No such option {name}",
    "No such option: {name} Did you mean {possibility}?",
    "No such option: {name} (Possible options: {possibilities})",
    "No such option {name}. (Did you mean one of: {possibilities}?)",
    "No such option {name}. (Possible options: {possibilities})",
    "No such command {name}. (Did you mean one of: {possibilities}?)",
    "No such command {name}.",
    "No such command {name}. Did you mean {possibility}?",
    "Missing argument {name}.",
    "Missing option {name}.",
    "Missing command.",
    "Missing argument {name}. Choose from:{choices}",
    "Option {name} requires an argument.",
    "Option {name} requires {n} arguments.",
    "Option {name} does not take a value.",
    "Got unexpected extra argument ({arguments})",
    "Got unexpected extra arguments ({arguments})",
    "Invalid value: {message}",
    "Invalid value for {name}: {message}",
    "{value} is not one of {choices}.",
    "{value} is not a valid integer.",
    "{value} is not a valid float.",
    "{value} is not a valid boolean.",
    "{value} is not a valid integer range.",
    "{value} is not in the range {range}.",
    "File {name} does not exist.",
    "Directory {name} does not exist.",
    "Path {name} does not exist.",
    "File {name} is a directory.",
    "Directory {name} is a file.",
    "Show this message and exit.",
    "Show the version and exit.",
    "[default: {value}]",
    "[required]",
)

_Part = str | ast.expr


def find_messages() -> dict[str, set[str]]:
    """Return message → the files that have it, below ``hubtune/``."""
    left_out = set(NOT_MESSAGES.read_text(encoding="utf-8").splitlines())
    found: dict[str, set[str]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        name = file.relative_to(PACKAGE).as_posix()
        if not name.startswith(_OTHER_TEXTS):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            for message in (*_Finder(tree).messages(), *_column_headings(tree), *_groups(tree)):
                found.setdefault(message, set()).add(name)
    words = WORDS.read_text(encoding="utf-8").splitlines()
    for message in (*_CLICK, *words, *_recipe_texts(), *_help_of(hubtune_command, None)):
        found.setdefault(message, set()).add("cli/help.py")
    return {message: files for message, files in found.items() if repr(message)[1:-1] not in left_out}


def _recipe_texts() -> Iterator[str]:
    """Yield what the keys of recipes mean, and which values they accept, with fields for numbers."""
    for row in reference_rows():
        yield row.meaning
        parts = re.split(r"\d+(?:\.\d+)?", row.allowed)
        allowed = parts[0] + "".join(f"{{n{place}}}{part}" for place, part in enumerate(parts[1:], 1))
        if _reads_like_words([allowed]) and not allowed.startswith("one of"):
            yield allowed
    yield from ("as below", "required", "text", "one of {choices} or null")
    yield from (recipe.summary for recipe in shipped_recipes())


def _help_of(command: click.Command, parent: click.Context | None) -> Iterator[str]:
    """Yield the paragraphs of a command's help, and the lines of its options and commands."""
    context = click.Context(command, info_name=command.name, parent=parent, show_default=True)
    texts = [*paragraphs(cleandoc(command.help or "")), command.epilog or ""]
    texts += [getattr(parameter, "help", None) or "" for parameter in command.params]
    if isinstance(command, click.Group):
        texts += [line for lines in getattr(command, "sections", {}).values() for line in lines.values()]
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _help_of(below, context)
    yield from (text for text in texts if _reads_like_words([text], least=1))


def _column_headings(tree: ast.AST) -> Iterator[str]:
    """Yield the words in lists and tuples of a module that prints tables."""
    nodes = list(ast.walk(tree))
    if any(isinstance(node, ast.Name) and node.id == "print_table" for node in nodes):
        items = [item for node in nodes if isinstance(node, ast.List | ast.Tuple) for item in node.elts]
        items += [
            branch for item in items if isinstance(item, ast.IfExp) for branch in (item.body, item.orelse)
        ]
        for item in items:
            match item:
                case ast.Constant(value=str(word)) if re.fullmatch(r"[A-Za-z][a-z-]+(?: [a-z]+)*:?", word):
                    yield word


def _groups(tree: ast.AST) -> Iterator[str]:
    """Yield the headings of the doctor's checks."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="Inspection"), args=[ast.Constant(value=str(group)), *_]):
                yield group
            case ast.keyword(arg="group", value=ast.Constant(value=str(group))) if group:
                yield group


class _Finder:
    """Finds the messages in a syntax tree."""

    def __init__(self, tree: ast.AST) -> None:
        self._tree = _Alternatives().visit(tree)
        self._done: set[int] = set()

    def messages(self) -> Iterator[str]:
        self._leave_out()
        for node in ast.walk(self._tree):  # what is outside comes before what is inside
            match node:
                case ast.Call(func=ast.Name(id="plural"), args=[_, ast.Constant(value=noun)]):
                    yield from (f"{{n}} {noun}", f"{{n}} {noun}s")
            if id(node) in self._done or not isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp):
                continue
            if not _is_text(node):
                continue
            variants = _variants(node)
            for parts in variants:
                if _reads_like_words(
                    [part if isinstance(part, str) else _counted_noun(part) for part in parts]
                ):
                    yield _template(parts)
                elif isinstance(parts[0], str) and (title := _TITLE.match(parts[0])):
                    yield title[1]
            self._take(node)
            fields = [part for parts in variants for part in parts if not isinstance(part, str)]
            self._done -= {id(inner) for field in fields for inner in ast.walk(field)}

    def _leave_out(self) -> None:
        for node in ast.walk(self._tree):
            match node:
                case ast.Expr(value=ast.Constant()):  # a docstring
                    self._take(node)
                case ast.Call(func=function):
                    name = (
                        function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
                    )
                    if name in _TRANSLATES_ITSELF | _NO_MESSAGES_IN:
                        self._take(node)
                case ast.Compare() | ast.MatchValue():
                    self._take(node)
                case ast.Subscript():
                    self._take(node.slice)
                case ast.AnnAssign():
                    self._take(node.annotation)
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    arguments = node.args
                    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
                        self._take(argument)
                    self._take(node.returns)
                case ast.keyword(arg="metavar" | "cls" | "prefix"):
                    self._take(node)

    def _take(self, node: ast.AST | None) -> None:
        if node is not None:
            self._done |= {id(inner) for inner in ast.walk(node)}


class _Alternatives(ast.NodeTransformer):
    """Puts the alternatives of a variable, ``verb = "is" if one else "are"``, into the f-strings with it."""

    def __init__(self) -> None:
        self._values: dict[str, ast.expr] = {}

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        outer, self._values = self._values, {}
        assigned: dict[str, list[ast.expr]] = {}
        for inner in ast.walk(node):
            if isinstance(inner, ast.Assign):
                for target in inner.targets:
                    if isinstance(target, ast.Name):
                        assigned.setdefault(target.id, []).append(inner.value)
        for name, values in assigned.items():
            if len(values) == 1 and isinstance(values[0], ast.IfExp) and _has_alternatives(values[0]):
                self._values[name] = values[0]
        self.generic_visit(node)
        self._values = outer
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Make f-strings of the messages of the log, whose values are arguments."""
        self.generic_visit(node)
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="logger"), attr=method), args=arguments):
                place = 1 if method == "log" else 0
                given = [
                    value
                    for argument in arguments[place + 1 :]
                    for value in (
                        argument.value.elts
                        if isinstance(argument, ast.Starred) and isinstance(argument.value, ast.Tuple)
                        else [argument]
                    )
                ]
                match arguments[place : place + 1]:
                    case [ast.Constant(value=str(text))] if text.count("%") - 2 * text.count("%%") == len(
                        given
                    ):
                        node.args[place] = _as_f_string(text, given)
        return node

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        if isinstance(node.value, ast.Name) and node.value.id in self._values:
            node.value = self._values[node.value.id]
        return node


def _as_f_string(text: str, values: Sequence[ast.expr]) -> ast.JoinedStr:
    """Return ``"%s of %d" % (a, b)`` as ``f"{a} of {b:d}"``."""
    parts: list[ast.expr] = []
    end, rest = 0, iter(values)
    for found in _CONVERSION.finditer(text):
        parts.append(ast.Constant(text[end : found.start()]))
        if found["kind"] == "%":
            parts.append(ast.Constant("%"))
        else:
            form = ast.JoinedStr([ast.Constant(found["kind"])]) if found["kind"] in "dfge" else None
            parts.append(ast.FormattedValue(next(rest), -1, form))
        end = found.end()
    return ast.JoinedStr([*parts, ast.Constant(text[end:])])


def _is_text(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return True
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _is_text(left) or _is_text(right)
        case ast.BinOp(left=left, op=ast.Mod()):
            return _is_text(left)
    return False


def _variants(node: ast.AST) -> list[list[_Part]]:
    """Return the alternatives of a text, each as texts and the expressions between them."""
    match node:
        case ast.Constant(value=str(text)):
            return [_converted(text)]
        case ast.Constant(value=None):
            return [[""]]
        case ast.JoinedStr(values=values):
            choices = [
                [_with_places(str(value.value))] if isinstance(value, ast.Constant) else _variants(value)
                for value in values
            ]
            return _combined(choices, node)
        case ast.FormattedValue(value=value) if node.format_spec is None and node.conversion == -1:
            return _variants(value) if _has_alternatives(value) else [[value]]
        case ast.FormattedValue():
            return [[node]]
        case ast.IfExp(body=body, orelse=other) if _is_text(body) or _is_text(other):
            return [*_variants(body), *_variants(other)]
        case ast.BinOp(left=left, op=ast.Mult()) if _is_text(left):
            return [[""], *_variants(left)]
        case ast.BoolOp(op=ast.Or(), values=[value, other]) if _is_text(other):
            return [[value], *_variants(other)]
        case ast.BinOp(left=left, op=ast.Add(), right=right) if _is_text(node):
            return _combined([_variants(left), _variants(right)], node)
        case ast.BinOp(left=left, op=ast.Mod()):
            return _variants(left)
    return [[node]] if isinstance(node, ast.expr) else [[""]]


def _has_alternatives(value: ast.expr) -> bool:
    match value:
        case ast.IfExp(body=body, orelse=other):
            return _is_text(body) or _is_text(other)
        case ast.BinOp(left=left, op=ast.Mult()):
            return _is_text(left)
        case ast.BoolOp(op=ast.Or(), values=[_, other]):
            return _is_text(other)
    return _is_text(value)


def _combined(choices: list[list[list[_Part]]], node: ast.AST) -> list[list[_Part]]:
    number = 1
    for choice in choices:
        number *= len(choice)
    if number > _MOST_VARIANTS:
        choices = [choice if len(choice) == 1 else [[ast.Name("part")]] for choice in choices]
    return [list(itertools.chain(*parts)) for parts in itertools.product(*choices)]


def _with_places(text: str) -> list[_Part]:
    """Return a text of an f-string with its ``{{}}``, which takes a value later, as fields."""
    first, *rest = text.split("{}")
    return [first, *(part for after in rest for part in (ast.Name("text"), after))]


def _converted(text: str) -> list[_Part]:
    """Return a text with its ``%s`` and ``{}`` as fields, if it has any."""
    parts: list[_Part] = []
    end = 0
    for found in _CONVERSION.finditer(text):
        kind = found["kind"] or ("d" if ":" in found[0] else "s")
        if (
            kind != "%"
            and found[0][0] == "%"
            and found["name"] is None
            and text[found.end() : found.end() + 1].isalpha()
        ):
            continue  # as in `50 % of`
        parts.append(text[end : found.start()])
        parts.append("%" if kind == "%" else ast.Name("n" if kind in "dfge" else found["name"] or "text"))
        end = found.end()
    return [*parts, text[end:]]


def _reads_like_words(parts: Sequence[str | None], least: int = 2) -> bool:
    """Whether texts, with ``None`` for each field between them, are at least so many words."""
    text = "".join("{}" if part is None else part for part in parts)
    words = re.findall(r"(?<![\w/.<`-])[A-Za-z][a-z'’-]+(?![\w/(<=-])", text)
    if len(words) >= least:
        return bool(re.search(r"[A-Za-z,:;.] [A-Za-z{]|[}] [A-Za-z]", text)) or least == 1
    return None in parts and any(len(word) > 2 and word.islower() for word in words) and " " in text


def _counted_noun(part: ast.expr) -> str | None:
    """Return the noun that a field has after its number, which is a word of the message; ``None`` without."""
    match part:
        case ast.Call(func=ast.Name(id="plural"), args=[_, ast.Constant(value=str(noun))]):
            return noun
    return None


def _template(parts: Sequence[_Part]) -> str:
    used: dict[str, int] = {}
    result = ""
    for part in parts:
        if isinstance(part, str):
            result += part.replace("{", "{{").replace("}", "}}")
            continue
        name = _field_name(part)
        used[name] = used.get(name, 0) + 1
        result += f"{{{name}{used[name] if used[name] > 1 else ''}}}"
    return result


def _field_name(node: ast.expr) -> str:
    """Name a field: ``n`` for a number, ``percent`` for a share, else by the expression."""
    match node:
        case ast.FormattedValue(value=value, format_spec=ast.JoinedStr(values=[ast.Constant(value=form)])):
            return "n" if re.search(r"[,dfge]$|\df", str(form)) else _field_name(value)
        case ast.FormattedValue(value=value):
            return _field_name(value)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.strip("_").lower()
        case ast.Call(func=ast.Name(id="plural"), args=[_, ast.Constant(value=noun)]):
            return "n_" + re.sub(r"\W", "_", f"{noun}s")
        case ast.Call(func=function, args=arguments):
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "value")
            if name in _NUMBERS or (name in ("min", "max") and _has_number(arguments)):
                return "n"
            if name in ("percent", "share_or_dash"):
                return "percent"
            if name in ("shown", "escaped", "str", "repr", "shortened", "describe_value") and arguments:
                return _field_name(arguments[0])
            if name == "join" and arguments:
                return _field_name(arguments[0])
            return name.strip("_").lower()
        case ast.Subscript(slice=ast.Constant(value=str(key))) if key.isidentifier():
            return key
        case ast.Subscript(value=value):
            return _field_name(value)
        case ast.BinOp(left=left, op=ast.Div()):  # mostly of a path
            return _field_name(left)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult()):
            return "text" if _is_text(left) else _field_name(left) if _is_text(node) else "n"
        case ast.GeneratorExp(elt=element) | ast.ListComp(elt=element):
            return _field_name(element)
    return "value"


def _has_number(arguments: Sequence[ast.expr]) -> bool:
    return any(isinstance(each, ast.Constant) and isinstance(each.value, int) for each in arguments)


if __name__ == "__main__":
    for message in find_messages():
        print(repr(message)[1:-1])
