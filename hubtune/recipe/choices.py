"""The names that a recipe chooses among: engines, optimizers and augmentation presets.

There is no pydantic here, whose import takes longer than a help text may: the command line reads these lists.
"""

from typing import Any, Literal, get_args

Engine = Literal["auto", "openvino", "openvino-bf16", "openvino-int8", "paddle", "paddle-amp"]
ENGINES: tuple[str, ...] = get_args(Engine)
"""What may run a network that is not being trained."""

OptimizerName = Literal["adam", "adamw", "momentum", "sgd", "lamb", "lars", "adagrad", "adamax", "rmsprop"]

AUGMENT_PRESETS: dict[str, dict[str, Any]] = {
    "none": {},
    "flip": {"flip": 0.5},
    "crop": {"crop": [0.08, 1.0], "flip": 0.5},
    "standard": {
        "crop": [0.35, 1.0],
        "flip": 0.5,
        "brightness": 0.2,
        "contrast": 0.2,
        "saturation": 0.2,
    },
    "strong": {
        "crop": [0.25, 1.0],
        "flip": 0.5,
        "randaugment": 2,
        "magnitude": 5.0,
        "erase": 0.25,
        "mixup": 0.2,
    },
}
"""Each preset's name, and the settings that it is short for."""
