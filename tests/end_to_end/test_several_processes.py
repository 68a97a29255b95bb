"""Training by several processes: the same bits on any number, whatever happens to one of them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.ranks import Job
from support.split_folder import draw_split

from hubtune.runs.bucket_run import folder_for

SECRET = "canary-5b1c"
SETTINGS = ("epochs=4", "batch_size=8", "shards=4", "save_ckpt_interval=2", "learning_rate=0.003")
HARD = (
    *SETTINGS,
    "batch_norm=update",
    "dropout=0.3",
    "augment=strong",
    "balance=sampler",
    "hidden_units=[8]",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Lists with an uneven last batch and two unreadable images, and a recipe for them."""
    folder = tmp_path_factory.mktemp("job")
    data = draw_split(folder / "data", {"a": 14, "b": 10, "c": 9}, validate=4, test=2)
    listed = [line.split()[0] for line in (data / "train_list.txt").read_text().splitlines()]
    for name in listed[:2]:
        file = data / name
        file.write_bytes(file.read_bytes()[:-200])
    (folder / "job.yaml").write_text(f"data: {{base: {data}, max_bad: 50%}}\nmodule: digitnet\nreport: off\n")
    return folder


def job(folder, name, nproc, settings=SETTINGS, *more):
    options = [word for setting in settings for word in ("-o", f"train.{setting}")]
    return Job(folder, folder / "job.yaml", *options, *more, nproc=nproc, name=name)


@pytest.fixture(scope="module")
def undisturbed(folder):
    return job(folder, "undisturbed", 1).finish()


def test_two_processes_give_the_bits_of_one(folder, undisturbed):
    two = job(folder, "two", 2, SETTINGS, "--json").finish()
    assert two.weights == undisturbed.weights
    results = [json.loads((each.run / "result.json").read_text()) for each in (undisturbed, two)]
    assert results[0] == results[1]
    assert json.loads(two.stdout)["run"] == str(two.run)
    assert (two.run / "skipped.csv").read_text() == (undisturbed.run / "skipped.csv").read_text()
    assert "training, after step 0" in (two.run / "logs" / "rank-1.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        HARD,
        (*SETTINGS, "learning_rate=auto", "ema=0.9", "average_best=2"),
        (*SETTINGS, "optimizer=adam", "micro_batch=1", "clip={value: 0.01}"),
        (*SETTINGS[:1], "batch_size=12", "shards=6"),
    ],
)
def test_one_two_and_three_or_four_processes_are_equal(folder, settings):
    last = 3 if "shards=6" in settings else 4
    jobs = [job(folder, f"n{nproc}-{abs(hash(settings))}", nproc, settings) for nproc in (1, 2, last)]
    weights = {each.finish().weights for each in jobs}
    assert len(weights) == 1


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["frozen", "from_frozen", "last_stage", "ulmfit"])
def test_every_kind_of_strategy_is_shared(folder, strategy, monkeypatch):
    weights = set()
    for nproc in (1, 2):
        monkeypatch.setenv("HUBTUNE_HOME", str(folder / f"home-{strategy}-{nproc}"))
        done = job(folder, f"{strategy}-{nproc}", nproc, SETTINGS, "-o", f"strategy={strategy}").finish()
        weights.add(done.weights)
    assert len(weights) == 1
    log = (folder / f"{strategy}-2" / "logs" / "rank-1.log").read_text()
    expected = "features of pictures: a share of" if strategy == "frozen" else "training, after step 0"
    assert expected in log


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("step", [2, 6])
def test_a_killed_rank_is_named_and_the_result_stays(folder, undisturbed, rank, step):
    killed = job(folder, f"killed-{rank}-{step}", 2)
    killed.wait_for_step(step)
    killed.signal_rank(rank, signal.SIGKILL)
    killed.finish()
    assert f"Rank {rank} of 2" in killed.stderr
    assert "the job is restarted from its last checkpoint (1 of 2)" in killed.stderr
    assert killed.weights == undisturbed.weights


@pytest.mark.slow
def test_a_stopped_rank_is_named_within_a_minute(folder, undisturbed):
    stopped = job(folder, "stopped", 2)
    stopped.wait_for_step(2)
    stopped.signal_rank(1, signal.SIGSTOP)
    stopped.finish()
    assert "has not answered for 40 seconds" in stopped.stderr
    assert stopped.weights == undisturbed.weights


@pytest.mark.slow
@pytest.mark.parametrize("nproc", [1, 4])
def test_a_stopped_job_goes_on_with_another_number_of_processes(folder, undisturbed, nproc):
    name = f"resumed-{nproc}"
    stopped = job(folder, name, 2)
    stopped.wait_for_step(2)
    for _ in range(3):  # as Paddle's launcher does, within half a second
        stopped.terminate()
        subprocess.run(["sleep", "0.15"], check=True)
    stopped.finish(143)
    assert "everything is saved" in stopped.stderr
    resumed = job(folder, name, nproc, SETTINGS, "--resume").finish()
    assert resumed.weights == undisturbed.weights


@pytest.mark.slow
def test_secrets_of_the_environment_are_in_no_file(folder, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    done = job(folder, "secrets", 2).finish()
    files = [path for path in done.run.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["paddle", "torchrun", "mpirun"])
def test_other_launchers_give_the_same_bits(folder, undisturbed, launcher):
    run = folder / f"by-{launcher}"
    command = [sys.executable, "-W", "ignore", "-m", "hubtune", "finetune", str(folder / "job.yaml")]
    options = [word for setting in SETTINGS for word in ("-o", f"train.{setting}")]
    hubtune = [*command, *options, "-o", f"run={run}", "--device", "cpu"]
    starts = {
        "paddle": [
            *(sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", "2"),
            *("--log_dir", str(folder / "log"), str(Path(sys.executable).with_name("hubtune"))),
            *hubtune[5:],
        ],
        "torchrun": [
            *(os.environ.get("HUBTUNE_TORCHRUN", ""), "--nproc-per-node", "2", "--no-python", *hubtune),
        ],
        "mpirun": [
            *(os.environ.get("HUBTUNE_MPIRUN", ""), "--allow-run-as-root", "--oversubscribe"),
            *("-np", "2", *hubtune),
        ],
    }
    start = starts[launcher]
    if not start[0]:
        pytest.skip(
            f"HUBTUNE_{launcher.upper()} does not name the launcher: CONTRIBUTING.md says how to get it"
        )
    subprocess.run(start, cwd=folder, check=True, capture_output=True)
    assert (run / "best_model" / "model.safetensors").read_bytes() == undisturbed.weights


SCRIPT = """
import os, sys
import hubtune
data, run = sys.argv[1:]
config = hubtune.RunConfig(checkpoint_dir=run, num_epoch=1, batch_size=8, shards=4, report=False,
                           max_bad="50%", use_cuda=False)
task = hubtune.ImageClassifierTask(hubtune.Module("digitnet"), hubtune.ListDataset(data), config)
result = task.finetune_and_eval()
print(os.environ["RANK"], result.test.accuracy, flush=True)
"""


@pytest.mark.slow
def test_a_script_of_ones_own_has_the_result_on_all_ranks(folder):
    from hubtune.train.distributed.process_group import free_port

    port = str(free_port())
    variables = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", SCRIPT, str(folder / "data"), str(folder / "script")],
            env={**os.environ, **variables, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0][0] == "0" and outputs[1][0] == "1"
    assert outputs[0][1] == outputs[1][1]


@pytest.mark.slow
def test_a_number_of_processes_that_does_not_divide_the_shards_is_refused(folder):
    refused = job(folder, "refused", 3).finish(2)
    assert "3 processes cannot share the 4 shards of a batch of 8 pictures evenly: start 1, 2 or 4" in (
        refused.stderr
    )


@pytest.mark.slow
def test_a_job_with_a_run_in_a_bucket_goes_on_after_a_kill_and_on_another_machine(
    folder, undisturbed, bucket, tmp_path
):
    address = bucket.at("runs/job")
    local = folder_for(address)
    killed = job(folder, "unused", 2, SETTINGS, "-o", f"run={address}")
    killed.run = folder / local
    killed.wait_for_step(2)
    killed.signal_rank(0, signal.SIGKILL)
    killed.finish()
    assert killed.weights == undisturbed.weights
    keys = {each["Key"] for each in bucket.client.list_objects_v2(Bucket=bucket.name)["Contents"]}
    assert "runs/job/logs/rank-1.log" in keys
    for command in (("evaluate", address), ("finetune", address, "--resume", "--nproc", "2")):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "hubtune", *command], cwd=tmp_path, capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()
