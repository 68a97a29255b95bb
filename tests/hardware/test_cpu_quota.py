"""Quotas of control groups, of both versions, as they stand on hosts and in containers."""

import pytest

from hubtune.hardware import cpu
from hubtune.hardware.cpu_quota import cpu_quota


def _quota(folder, groups, files):
    (folder / "cgroup").write_text(groups)
    for name, text in files.items():
        file = folder / "fs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return cpu_quota(folder / "cgroup", folder / "fs")


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "200000 100000\n"}, 2.0),
        ("0::/host/path\n", {"cpu.max": "50000 100000\n"}, 0.5),
        (
            "4:cpu,cpuacct:/docker/1\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "300000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
            3.0,
        ),
        ("4:cpu:/x\n", {"cpu/x/cpu.cfs_quota_us": "-1\n", "cpu/x/cpu.cfs_period_us": "100000\n"}, None),
        ("nonsense\n", {}, None),
        ("0::/\n", {"cpu.max": "much of it\n"}, None),
        ("0::/\n", {"cpu.max": "100000 0\n"}, None),
    ],
)
def test_the_smallest_quota_on_the_way_to_the_root_counts(tmp_path, groups, files, expected):
    assert _quota(tmp_path, groups, files) == expected


def test_other_systems_have_no_quota(tmp_path):
    assert cpu_quota(tmp_path / "none", tmp_path) is None


@pytest.mark.parametrize(("quota", "count"), [(None, 8), (0.5, 1), (2.9, 2), (64.0, 8)])
def test_cores_are_whole_ones_of_quota_and_affinity(monkeypatch, quota, count):
    monkeypatch.setattr(cpu, "cpu_quota", lambda: quota)
    monkeypatch.setattr(cpu.os, "sched_getaffinity", lambda process: range(8), raising=False)
    assert cpu.cores() == count
