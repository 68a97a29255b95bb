"""What a run gives: the same seed the same model, and warnings of combinations that rarely make sense."""

from support.split_folder import draw_split
from support.tiny_task import weight_bytes


def test_the_same_seed_gives_the_same_model_and_another_seed_another(run):
    one = weight_bytes(run("one", epochs=1))
    assert one == weight_bytes(run("same", epochs=1, workers=5))
    assert one != weight_bytes(run("other", epochs=1, seed=1))


def test_without_validation_the_last_model_is_kept(run, tmp_path):
    lists = draw_split(tmp_path / "two", {"a": 16, "b": 16})
    (lists / "validate_list.txt").unlink()
    trained = run(lists=lists, batch_size=500)
    assert (trained.validate, trained.best_step, trained.test.count) == (None, 2, 8)
    assert (trained.path / "checkpoints" / "step-2").is_dir()
    log = (trained.path / "train.log").read_text()
    assert "no validation list: the model of the last step is kept" in log
    assert "batch_size 500 is more than the 16 training pictures: an epoch is a single step" in log
