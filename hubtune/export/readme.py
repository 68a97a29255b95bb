"""The ``README.md`` of an export."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from jinja2 import Environment, StrictUndefined

from hubtune.export.benchmark import BenchRow
from hubtune.export.int8 import Int8Report
from hubtune.export.parity import RESIZED_TOLERANCE, TOLERANCE, Parity
from hubtune.hub.model_card import ModelCard

README_FILE = "README.md"
_LISTS = {"test": "test", "validate": "validation"}


@dataclass(frozen=True)
class Facts:
    """What a format says of its folder.

    Attributes:
        files: name of a file → its content, beside those that every export has.
        use: commands of a shell that run it.
        notes: further sentences, for whoever runs it.
    """

    files: Mapping[str, str]
    use: Sequence[str]
    notes: Sequence[str] = ()


def render_readme(
    card: ModelCard,
    facts: Facts,
    title: str,
    parity: Parity | None,
    before: Mapping[str, float],
    *,
    int8: Int8Report | None = None,
    bench: Sequence[BenchRow] = (),
) -> str:
    """Return the text.

    Args:
        card: describes the exported model.
        facts: of the format.
        title: of the format.
        parity: the comparison with hubtune; ``None`` if there is none.
        before: list → accuracy of the model before its head was solved again; empty if it was not.
        int8: the comparison of int8 with float32; ``None`` for an export in float32.
        bench: rows of programs; empty if none was measured.
    """
    measured = [(text, card.metrics[name]) for name, text in _LISTS.items() if card.metrics.get(name)]
    source = resources.files("hubtune.export") / "templates" / f"{README_FILE}.jinja"
    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    return environment.from_string(source.read_text(encoding="utf-8")).render(
        card=card,
        facts=facts,
        title=title,
        parity=parity,
        before={_LISTS[name]: share for name, share in before.items()},
        int8=int8,
        bench=bench,
        measured=[(name, metrics) for name, metrics in measured if metrics.get("count")],
        views=", ".join(view.description for view in card.views),
        tolerance=TOLERANCE,
        resized_tolerance=RESIZED_TOLERANCE,
    )
