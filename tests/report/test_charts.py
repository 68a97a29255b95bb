"""Charts are valid SVG, lie inside their frame, and can be read aloud."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from hubtune.report.charts import (
    ChartBar,
    ChartPoint,
    ChartText,
    draw_bars,
    draw_confusion_map,
    draw_curve,
    draw_interval,
    draw_reliability,
)

TEXT = ChartText('Title <"&>', "What it shows.", "x axis", "y axis")


def parsed(chart):
    root = ElementTree.fromstring(str(chart))
    _, _, width, height = map(float, root.get("viewBox").split())
    for mark in root.iter():
        if mark.tag == "circle":
            assert 0 <= float(mark.get("cx")) <= width and 0 <= float(mark.get("cy")) <= height
        assert not re.search("nan|inf", mark.get("d", ""))
    return root


def labels(root):
    return [text.text for text in root.iter("text")]


def test_a_chart_has_a_name_and_a_description_that_cannot_break_it():
    root = parsed(draw_reliability([ChartPoint(0.5, 0.4, 0.2, 0.6), ChartPoint(0.9, 1.0, 0.8, 1.0)], TEXT))
    assert (root.get("role"), root.get("aria-label")) == ("img", 'Title <"&>. What it shows.')
    assert root.find("title").text == 'Title <"&>'
    assert labels(root) == [*("0 20 40 60 80 100".split() * 2), "x axis", "y axis"]
    assert len(root.findall("circle")) == len(root.findall("path[@class='interval']")) == 2


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5], [0, 0], [0.1, 0.9, 0.4], [1e-9, 2e-9], [3, 4000]])
@pytest.mark.parametrize("percent", [True, False])
def test_curves_of_any_range_fit(values, percent):
    points = [ChartPoint(10 * number, value) for number, value in enumerate(values)]
    root = parsed(draw_curve(points, TEXT, percent=percent))
    ticks = labels(root)[:-2]
    assert len(ticks) == len(root.findall("path[@class='grid']")) + len(values)
    assert all(re.fullmatch(r"-?[\d,]+(\.\d+)?", tick) for tick in ticks)


def test_a_long_curve_has_no_dots_and_a_logarithmic_axis_may_be_asked_for():
    assert not parsed(draw_curve([ChartPoint(n, n) for n in range(100)], TEXT, percent=False)).findall(
        "circle"
    )
    points = [ChartPoint(n, 0.5, 0.4, 0.6) for n in (1, 10, 100)]
    across = [
        float(dot.get("cx"))
        for dot in parsed(draw_curve(points, TEXT, percent=True, log=True)).iter("circle")
    ]
    assert across[1] - across[0] == pytest.approx(across[2] - across[1], abs=0.2)


def test_an_interval_is_drawn_to_scale_and_hidden_from_readers():
    root = parsed(draw_interval(0.8, (0.584, 0.919)))
    assert root.get("aria-hidden") == "true"
    assert root.find("path[@class='interval']").get("d") == "M58.4 6H91.9"
    assert root.find("circle").get("cx") == "80.0"


def test_a_map_has_a_dot_for_each_confused_pair_and_stays_small():
    confusion = np.zeros((1000, 1000), int)
    np.fill_diagonal(confusion, 50)
    confusion[3, 7], confusion[999, 0], confusion[0, 999] = 1, 3, 9
    chart = draw_confusion_map(confusion, TEXT)
    root = parsed(chart)
    dots = [root.find(f"path[@class='level{level}']").get("d") for level in (1, 2, 3)]
    assert [each.count("M") for each in dots] == [1, 1, 1]
    assert dots[0].startswith("M4.2 1.8h")
    assert len(chart) < 1000


def test_bars_are_drawn_to_scale_below_their_names():
    bars = [ChartBar("<red>", 0.5, "50 %", 0.25), ChartBar("round", 1.0, "100 %", 0.0)]
    root = parsed(draw_bars(bars, ChartText("Bars", "Two.", "", "")))
    assert labels(root) == ["<red>", "50 %", "round", "100 %"]
    widths = [float(each.get("width")) for each in root.iter() if each.get("class") == "value"]
    assert widths == [170, 340]
    assert [each.get("d") for each in root.iter() if each.get("class") == "mark"] == [
        "M85.0 17v14",
        "M0.0 53v14",
    ]
