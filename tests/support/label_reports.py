"""Reports of multi-label runs with drawn answers, and images where a test needs them."""

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from hubtune.evaluation.label_evaluation import evaluate_labels
from hubtune.report.run_report import Findings, RunReport, SuspectDecision
from support.label_answers import draw_label_scores, label_answers_of

LABELS = ("red", "round", "big")


def label_report_of(scores, truth, labels=LABELS, *, paths=None, unreadable=(), **fields):
    answers = label_answers_of(scores, truth, unreadable)
    if paths is not None:
        answers = replace(answers, paths=[str(path) for path in paths])
    fields = {"multi_label": True, "thresholds_from": "train", **fields}
    return RunReport("first", "runs/first", evaluate_labels(answers, labels), **fields)


def drawn_label_report(count, labels=LABELS, **fields):
    scores, truth = draw_label_scores(count, len(labels))
    return label_report_of(scores, truth, labels, **fields)


def full_label_report(images, labels=LABELS, name="first"):
    """A report in which every section has something."""
    count = len(images)
    scores = np.tile([0.9, 0.2, 0.6], (count, 1))
    truth = scores > 0.5
    truth[: count // 2] ^= [False, True, False]
    truth[:2, 0] = False
    heat = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(heat, "WEBP")
    suspects = [
        SuspectDecision(images[0], labels[0], True, 0.01),
        SuspectDecision(images[1], name, False, 0.98),
    ]
    report = label_report_of(
        scores,
        truth,
        labels,
        paths=images,
        unreadable=(count - 1,),
        findings=Findings(
            heat_maps={str(images[0]): heat.getvalue()}, decision_issues=suspects, similarity_threshold=0.5
        ),
    )
    similarity, nearest = np.linspace(0.3, 0.9, count), [f"near {name}"] * count
    answers = replace(report.evaluation.answers, similarity=similarity, nearest=nearest)
    return replace(
        report,
        name=name,
        folder=f"runs/{name}",
        evaluation=replace(report.evaluation, answers=answers),
        counts={label: {"train": 4, "validate": 1, "test": 2} for label in labels},
        sizes={"train": 9, "validate": 3, "test": 5},
        unlabelled={"train": 3, "validate": 1},
        skipped=[("train", f"/pics/{name}", name)],
        groups=2,
        remarks=[name],
        history=[{"step": n, "accuracy": n / 4, "mean_ap": n / 5, "loss": 1 / (n + 1)} for n in range(4)],
        used={"module": name, "command": f"hubtune finetune {name}", "test": "0123abcd"},
    )
