"""What PaddleClas's configurations of several labels per picture say: labels, their names and thresholds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hubtune.compat.paddleclas_file import operations_of, section
from hubtune.errors import ModelError
from hubtune.evaluation.thresholds import DEFAULT_THRESHOLD
from hubtune.text import describe_value

TWO_CLASSES = "ThreshOutput"  # the second class if its score reaches a threshold
ONE_CLASS = ("Topk", TWO_CLASSES)
_MULTI_LABEL = "MultiLabel"  # in the names of data sets, losses and post-processings
_ALL = slice(None)


class _Answer(NamedTuple):
    """How a section ``PostProcess`` answers with several labels.

    Attributes:
        thresholds: key → the outputs that it applies to, and its value if it is missing; later ones prevail.
        names: of the outputs, where PaddleClas's code has them and no file.
        remarks: how labels with thresholds differ from its answers, and what is uncertain about the names.
    """

    thresholds: Mapping[str, tuple[slice, float]]
    names: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


# The names and outputs are those of PaddleClas 2.6.0, deploy/python/postprocess.py. Where its answers as text
# and as 0 and 1 differ, PersonAttribute's `threshold` is that of the text, TableAttribute's those of 0 and 1.
_PERSON = (
    "Hat Glasses ShortSleeve LongSleeve UpperStride UpperLogo UpperPlaid UpperSplice LowerStripe "
    "LowerPattern LongCoat Trousers Shorts Skirt&Dress Boots HandBag ShoulderBag Backpack HoldObjectsInFront "
    "AgeLess18 Age18-60 AgeOver60 Female Front Side Back"
)
_VEHICLE = (
    "yellow orange green gray red blue white golden brown black "
    "sedan suv van hatchback mpv pickup bus truck estate"
)
_ONE_OF = (
    "PaddleClas answers {}, those of the highest scores, and a hubtune model each label from its threshold on"
)
_TABLE = "Scanned Little Black-and-White Clear Without-Obstacles Horizontal"
_TABLE_KEYS = "source number color clarity obstruction angle"

_ANSWERS: Mapping[str, _Answer] = {
    "MultiLabelThreshOutput": _Answer({"threshold": (_ALL, DEFAULT_THRESHOLD)}),
    "MultiLabelTopk": _Answer({}),
    "PersonAttribute": _Answer(
        {
            "threshold": (_ALL, DEFAULT_THRESHOLD),
            "glasses_threshold": (slice(1, 2), 0.3),
            "hold_threshold": (slice(18, 19), 0.6),
        },
        tuple(_PERSON.split()),
        (
            _ONE_OF.format("one age, direction, sleeve and bag"),
            "PaddleClas calls output 19 AgeLess18 and 21 AgeOver60, and PaddleDetection's documentation the "
            "other way round: compare some pictures, and give your names by a label file",
        ),
    ),
    "VehicleAttribute": _Answer(
        {"color_threshold": (slice(10), 0.5), "type_threshold": (slice(10, 19), 0.5)},
        tuple(_VEHICLE.split()),
        (_ONE_OF.format("one colour and one type"),),
    ),
    "TableAttribute": _Answer(
        {f"{key}_threshold": (slice(n, n + 1), 0.5) for n, key in enumerate(_TABLE_KEYS.split())},
        tuple(_TABLE.split()),
    ),
    "FaceAttribute": _Answer({"threshold": (_ALL, 0.65)}),
}


@dataclass(frozen=True)
class LabelAnswer:
    """How a model with several labels per picture answers.

    Attributes:
        names: of the outputs, if the configuration has them itself.
        remarks: how labels with thresholds differ from PaddleClas's answers, one sentence each.
        thresholds: outputs and their threshold; later ones prevail.
    """

    names: tuple[str, ...] | None = None
    remarks: tuple[str, ...] = ()
    thresholds: list[tuple[slice, float]] = field(default_factory=list)

    def thresholds_of(self, outputs: int) -> list[float]:
        """Return the threshold of each output."""
        values = [DEFAULT_THRESHOLD] * outputs
        for place, threshold in self.thresholds:
            values[place] = [threshold] * len(values[place])
        return values


def has_several_labels(data: Mapping[str, Any]) -> bool:
    """Whether a configuration is one of several labels per picture, by its data, loss or answer."""
    losses = [name for name, _ in operations_of(section(data, "Loss").get("Train") or [])]
    datasets = [section(data, "DataLoader", part, "dataset").get("name") for part in ("Train", "Eval")]
    return (
        section(data, "Global").get("use_multilabel") is True
        or any(_MULTI_LABEL in str(name) for name in (*datasets, *losses))
        or answer_name(section(data, "Infer", "PostProcess")) in _ANSWERS
    )


def answer_name(answer: Mapping[str, Any]) -> str:
    """Return the name of a section ``PostProcess``; of a distillation, the student's."""
    name = answer.get("name") or "Topk"
    return str((answer.get("func") or "Topk") if name == "DistillationPostProcess" else name)


def unknown_answer(name: str, source: object, *, several: bool) -> ModelError:
    known, kind = (_ANSWERS, "several labels per picture") if several else (ONE_CLASS, "one class a picture")
    return ModelError(
        f"{source}: Infer.PostProcess is {name}, which hubtune does not have for {kind}: write the one of "
        f"{', '.join(known)} that fits"
    )


def read_label_answer(answer: Mapping[str, Any], source: object) -> LabelAnswer:
    """Read the section ``PostProcess`` of a configuration of several labels; an empty one: 0.5 for each.

    Raises:
        ModelError: hubtune does not know it, or a threshold is none.
    """
    name = answer_name(answer)
    if name not in (*_ANSWERS, "Topk"):
        raise unknown_answer(name, source, several=True)
    form = _ANSWERS.get(name, _Answer({}))
    thresholds = []
    for key, (place, default) in form.thresholds.items():
        value = default if answer.get(key) is None else answer[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ModelError(
                f"{source}: Infer.PostProcess.{key} is {describe_value(value)}, and must be a number from 0 "
                "to 1"
            )
        thresholds.append((place, float(value)))
    listed = answer.get("label_list")
    names = tuple(map(str, listed)) if isinstance(listed, list) else form.names
    return LabelAnswer(names or None, form.remarks if names == form.names else form.remarks[:1], thresholds)
