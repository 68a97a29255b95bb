"""Files of runs as training leaves them, without training."""

import json

from hubtune.storage.checked_folder import write_checked


def write_run(folder, step=1, *, finished=False):
    """Write the files of a run, whose checkpoint is of this step."""
    (folder / "lists").mkdir(parents=True, exist_ok=True)
    (folder / "visualization").mkdir(exist_ok=True)
    texts = {"recipe.yaml": "run: x\n", "manifest.json": "{}", "lists/train_list.txt": "a 0\n"}
    texts["visualization/vdlrecords.1.log"] = "curves"
    texts |= {"metrics.jsonl": "".join(f'{{"step": {each}}}\n' for each in range(1, step + 1))}
    if finished:
        texts["result.json"] = "{}"
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    write_checked(folder / "checkpoints" / f"step-{step}", {"state.json": json.dumps(step).encode()})
    write_checked(folder / "best_model", {"model.json": json.dumps({"step": step}).encode()})
    return folder
