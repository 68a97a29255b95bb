"""The loop evaluates, keeps and saves when it should."""

from support.callbacks import Recorder

import hubtune

# Two epochs of four steps; evaluations after steps 3, 4 (end of an epoch), 6 and 8.
DEFAULTS = {"batch_size": 6, "eval_interval": 3, "strategy": "scratch"}


def test_only_a_strictly_better_model_is_kept_and_without_validation_the_last_one(
    run, data, invent_accuracies, told
):
    invent_accuracies([0.5, 0.5, 0.7, 0.6])
    recorder = Recorder()
    trained = run(callback=recorder)
    assert [call.named for call in recorder.of("evaluated")] == [
        {"step": step, "best": best} for step, best in ((3, True), (4, False), (6, True), (8, False))
    ]
    assert (trained.best_step, trained.validate.accuracy) == (6, 0.7)
    assert sum(message.startswith("best model saved to ") for message in told.messages) == 2
    told.clear()
    (data / "validate_list.txt").unlink()
    trained = run()
    assert (trained.best_step, trained.validate) == (8, None)
    assert [path.name for path in (trained.path / "checkpoints").iterdir()] == ["step-8"]
    assert sum(message.startswith("best model saved to ") for message in told.messages) == 4


def test_a_step_without_readable_images_changes_nothing(run, data):
    victim = hubtune.ListDataset(data).examples("train")[3].path
    victim.write_bytes(victim.read_bytes()[:-300])
    recorder = Recorder()
    run(batch_size=1, epochs=1, batch_norm="keep", max_bad="10%", callback=recorder)
    steps = [call.named for call in recorder.of("stepped")]
    assert len(steps) == 24
    assert [step["accuracy"] for step in steps if step["loss"] is None] == [None]
