"""`hubtune demo`: what it prints, and its exit code."""

import json

import pytest
from support.demo import demo_result


@pytest.mark.parametrize("finetuned", [(0.95, 0.93, 0.94), (0.8, 0.8, 0.8)])
def test_the_demo_prints_its_measurements_and_fails_if_finetuning_does_not_help(
    run_here, monkeypatch, finetuned
):
    result = demo_result(finetuned, (0.8, 0.7, 0.75))
    monkeypatch.setattr("hubtune.demo.run_demo", lambda folder, callback: result)
    document = json.loads(run_here("demo", "--json").stdout.splitlines()[0])
    assert document["finetuned"]["accuracy"] == pytest.approx(sum(finetuned) / 3)
    assert document["scratch_long"]["epochs"] == 20
    assert document["finetuned"]["tests"][0]["count"] == 450
    done = run_here("demo")
    assert (done.returncode, document["passed"]) == ((0, True) if finetuned[0] > 0.9 else (8, False))
    if document["passed"]:
        assert done.stdout == (
            """
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
"""
        )
