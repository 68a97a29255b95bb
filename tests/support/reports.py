"""Reports of runs with drawn answers, and images where a test needs them."""

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from hubtune.evaluation.answers import Answers
from hubtune.evaluation.evaluation import evaluate_answers
from hubtune.report.run_report import Findings, LearningCurvePoint, MeasuredCurve, RunReport, SuspectLabel

LABELS = ("ant", "bee", "cow")


def answers_for(paths, truth, predicted, confidence=None):
    """Return answers; a prediction of -1 is an image that cannot be read."""
    truth, predicted = np.array(truth, np.int64), np.array(predicted, np.int64)
    confidence = np.linspace(0.9, 0.6, len(truth)) if confidence is None else np.array(confidence, float)
    confidence = np.where(predicted < 0, np.nan, confidence)
    right = truth == predicted
    return Answers(
        [str(path) for path in paths],
        truth,
        predicted,
        confidence,
        np.where(right, confidence, 1 - confidence),
        np.where(predicted < 0, -1, np.where(right, 0, 1)),
        np.where(right, (truth + 1), truth),
        [None if number >= 0 else "damaged picture" for number in predicted],
    )


def report_of(truth, predicted, labels=LABELS, *, paths=None, confidence=None, **fields):
    paths = [f"/pics/{number:03}.jpg" for number in range(len(truth))] if paths is None else paths
    answers = answers_for(paths, truth, predicted, confidence)
    return RunReport("first", "runs/first", evaluate_answers(answers, labels), **fields)


def draw_images(folder, count, *, metadata=b""):
    """Draw JPEG files with metadata, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    paths = [folder / f"{number:03}.jpg" for number in range(count)]
    for path in paths:
        exif = Image.Exif()
        exif[0x010E] = metadata.decode()
        coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
        coarse.resize((160, 120)).save(path, exif=exif)
    return paths


def full_report(images, labels=LABELS, name="first"):
    """A report in which every section has something."""
    count = len(images)
    truth = [number % 3 for number in range(count)]
    predicted = [*truth[: count // 2], *[(number + 1) % 3 for number in truth[count // 2 : -1]], -1]
    suspect = SuspectLabel(images[0], labels[0], 0.1, labels[1], 0.8)
    heat = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(heat, "WEBP")
    findings = Findings(
        heat_maps={str(images[count // 2]): heat.getvalue()},
        label_issues=[suspect],
        similarity_threshold=0.5,
        learning_curve=MeasuredCurve(
            [LearningCurvePoint(n, n / 40, 0.1, 0.9) for n in (5, 10, 20)], (0.02, 0.01, 0.03), [name]
        ),
    )
    report = report_of(truth, predicted, labels, paths=images, findings=findings)
    similarity, nearest = np.linspace(0.3, 0.9, count), [f"near {name}"] * count
    answers = replace(report.evaluation.answers, similarity=similarity, nearest=nearest)
    return replace(
        report,
        name=name,
        folder=f"runs/{name}",
        evaluation=replace(report.evaluation, answers=answers),
        counts={label: {"train": 4, "validate": 1, "test": 2} for label in labels},
        skipped=[("train", f"/pics/{name}", name)],
        groups=2,
        random_leaks={"test": 0.5},
        remarks=[name],
        history=[{"step": n, "accuracy": n / 4, "loss": 1 / (n + 1)} for n in range(4)],
        used={"module": name, "command": f"hubtune finetune {name}", "test": "0123abcd"},
    )
