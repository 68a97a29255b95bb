"""The failures that users of Paddle's image classification ask about most: what hubtune does, and the cure.

``docs/faq.md`` is written from these entries by ``tools/make_faq.py``.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class KnownFailure:
    """A failure as people meet it.

    Attributes:
        seen: the message, or what happens.
        cause: why.
        answer: what hubtune does in its place.
        cures: commands, or lines of Python, that help.
    """

    seen: str
    cause: str
    answer: str
    cures: tuple[str, ...]


KNOWN_FAILURES = (
    KnownFailure(
        "AttributeError: 'NoneType' object has no attribute 'imread'",
        "OpenCV was not installed, and the script went on without it.",
        "hubtune needs no OpenCV. If Pillow, which reads pictures, is missing or broken, every command "
        "says so in "
        "one sentence and ends with code 5; a picture that cannot be read is named, and keeps its row.",
        ("hubtune doctor", "python -m pip install --upgrade --force-reinstall --no-deps pillow"),
    ),
    KnownFailure(
        "SyntaxError: from __future__ imports must occur at the beginning of the file",
        "Something stands before such an import in a script: only comments and the docstring may.",
        "In a script of your own, Python says it. In a module.py that hubtune runs, the file and the "
        "line are named.",
        ("from __future__ import annotations  # the first line of code of the file",),
    ),
    KnownFailure(
        "Input's channels should be equal to the filter's: arrays of height × width × channels were given",
        "Networks of Paddle take channels × height × width.",
        "From files it cannot happen. For arrays, Model.predict takes height × width × 3 as Pillow and "
        "NumPy have "
        "them, and Module.features names the transposition.",
        ("array.transpose(2, 0, 1)", "model.predict([array])  # uint8, height × width × 3, RGB"),
    ),
    KnownFailure(
        "ZeroDivisionError, or training ends at once: the reader gives nothing",
        "A list is empty, its paths lead nowhere, or a batch is larger than the list.",
        "An empty list, paths that lead nowhere and pictures that cannot be read are named before "
        "training; a "
        "batch that is larger than the list is a warning, and trains.",
        ("hubtune doctor pics/", "hubtune split pics/ --val 20% --test 20%"),
    ),
    KnownFailure(
        "The loss falls, but the accuracy stays at chance: BatchNorm and dropout with few pictures",
        "The statistics of a few dozen pictures are poor, and dropout adds noise; a network that starts from "
        "random values needs very many pictures.",
        "Pretrained statistics are kept below 10,000 pictures, and the head has no dropout by default. "
        "A run at "
        "chance says so at its end, and the doctor names the cause.",
        ("hubtune doctor runs/latest", "hubtune finetune pics/ -o strategy=frozen"),
    ),
    KnownFailure(
        "Training begins anew, although a trained model was loaded",
        "Parameters were loaded before the startup program had set them to random values.",
        "A run that was stopped is resumed to the same bits; a finished run is a module that another "
        "one starts "
        "from, or is given more epochs.",
        (
            "hubtune finetune runs/a --resume",
            "hubtune finetune runs/a --resume -o train.epochs=20",
            "hubtune finetune pics/ -o module.name=runs/a",
        ),
    ),
    KnownFailure(
        "Killed, or ResourceExhaustedError: Out of memory error on GPU 0",
        "The pictures of a batch, and what the network computes of them, do not fit into memory.",
        "A batch that cannot fit is refused before training, on a CPU and on a GPU in the same words, "
        "with the "
        "number of pictures that would. batch_size: auto computes the batch in as few parts as fit.",
        (
            "hubtune finetune recipe.yaml -o train.batch_size=auto",
            "hubtune finetune recipe.yaml -o data.size=160",
        ),
    ),
    KnownFailure(
        "Error: var img not in this block",
        "The name in feed_list is not that of the network's input.",
        "hubtune needs no feed_list. In a ported script of PaddleHub 1.x, a wrong one is refused with "
        "the right one.",
        ('feed_list = [input_dict["image"].name]',),
    ),
    KnownFailure(
        "ValueError: insecure string pickle, or UnpicklingError: pickle data was truncated",
        "A file of weights or of CIFAR was cut short by its download.",
        "The file is named as damaged, nothing of it is used, and nothing is left behind. Downloads are "
        "compared "
        "with their SHA-256.",
        ("hubtune hub pull resnet50_imagenet", "hubtune data pull cifar10"),
    ),
)


def faq_text() -> str:
    """Return all entries for a terminal."""
    blocks = [
        "\n".join(
            [f"{number}. {entry.seen}", *(f"   {line}" for line in (entry.cause, entry.answer))]
            + [f"   → {cure}" for cure in entry.cures]
        )
        for number, entry in enumerate(KNOWN_FAILURES, 1)
    ]
    return "\n\n".join(blocks)
