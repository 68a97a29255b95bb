"""`hubtune demo`: what it prints, and its exit code."""

import json
from pathlib import Path

import pytest
from support.commands import invoke
from support.demo import demo_result

import hubtune
from hubtune.cli.demo import command


@pytest.fixture
def run(monkeypatch):
    """Runs the command with a result in place of the trainings."""

    def run(result, *arguments):
        monkeypatch.setattr("hubtune.demo.run_demo", lambda folder, callback: result)
        return invoke(command, *arguments)

    return run


def test_prints_the_measurements_and_the_next_commands(run):
    output = run(demo_result((0.95, 0.93, 0.94), (0.8, 0.7, 0.75)))
    assert output.exit_code == 0
    assert (
        output.stdout
        == """
Digits 7, 8 and 9, learned from ten pictures of each; right answers on 450 others:

  fine-tuned, 5 epochs     94.0 %   (3 seeds: 95.0, 93.0, 94.0; 95 % interval of each ±2.4)
  from scratch, 5 epochs   75.0 %   (3 seeds: 80.0, 70.0, 75.0; 95 % interval of each ±4.2)
  from scratch, 20 epochs  92.0 %   (3 seeds: 91.0, 92.0, 93.0; 95 % interval of each ±2.6)

The module knew only the digits 0 to 6, which puts it 19 points ahead.
With more training, the network from scratch catches up: 92.0 % after 20 epochs.

See for yourself:     d/predictions.png
The fine-tuned model: d/runs/finetuned-0/best_model
Now your own photos, in a folder for each class:
  hubtune split YOUR_PICTURES/ --val 20
  hubtune finetune YOUR_PICTURES/
""".replace("d/", f"{Path('d/x')}"[:-1], 1)
    )


def test_fails_with_8_if_finetuning_does_not_help(run):
    output = run(demo_result((0.8, 0.8, 0.8), (0.8, 0.7, 0.75)), "--json")
    assert isinstance(output.exception, hubtune.CheckFailedError)
    assert output.exception.exit_code == 8
    document = json.loads(output.stdout)
    assert document["passed"] is False
    assert document["finetuned"]["accuracy"] == pytest.approx(0.8)
    assert document["scratch_long"]["epochs"] == 20
    assert document["finetuned"]["tests"][0]["count"] == 450
