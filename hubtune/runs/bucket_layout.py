"""The names of a run's objects in a bucket.

``checkpoints/step-00000020-1a2b3c4d/…`` and ``best_model-00000020-5e6f7a8b/…`` are checked folders that are
never changed. ``best_model.json`` names the best model's folder. The other files of the run have their own
names, and ``lock.json`` is there while a process works on the run.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from hubtune.storage.bucket_folder import is_manifest, unused_name

POINTER, LOCK = "best_model.json", "lock.json"
_CHECKPOINT = re.compile(r"(checkpoints/step-(\d{8,16})-[0-9a-f]{8})/[^/]+")
_MODEL = re.compile(r"(best_model-\d{8,16}-[0-9a-f]{8})/[^/]+")


@dataclass(frozen=True)
class BucketCheckpoint:
    """A checkpoint in a bucket; without its manifest, it is not ``complete``."""

    step: int
    name: str
    complete: bool


def checkpoint_name(step: int) -> str:
    """Return an unused name for the folder of a checkpoint."""
    return unused_name(f"checkpoints/step-{step:08d}")


def model_name(step: int) -> str:
    """Return an unused name for the folder of a best model."""
    return unused_name(f"best_model-{step:08d}")


def checkpoints_in(names: Iterable[str]) -> list[BucketCheckpoint]:
    """Return the checkpoints among the names of objects, the newest first."""
    steps: dict[str, int] = {}
    complete: set[str] = set()
    for name in names:
        if found := _CHECKPOINT.fullmatch(name):
            steps[found[1]] = int(found[2])
            if is_manifest(name):
                complete.add(found[1])
    checkpoints = [BucketCheckpoint(step, folder, folder in complete) for folder, step in steps.items()]
    return sorted(checkpoints, key=lambda each: (each.step, each.name), reverse=True)


def models_in(names: Iterable[str]) -> set[str]:
    """Return the folders of best models among the names of objects, complete or not."""
    return {found[1] for name in names if (found := _MODEL.fullmatch(name))}


def pointer_text(folder: str) -> bytes:
    """Return the content of ``best_model.json``."""
    return (json.dumps({"folder": folder}) + "\n").encode()


def read_pointer(content: bytes) -> str | None:
    """Return the folder that ``best_model.json`` names; ``None`` if it is damaged."""
    try:
        folder = json.loads(content)["folder"]
    except (ValueError, TypeError, KeyError):
        return None
    return folder if isinstance(folder, str) and _MODEL.fullmatch(f"{folder}/x") else None
