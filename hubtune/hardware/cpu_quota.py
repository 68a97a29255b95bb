"""How much processor time a container or a batch job may use: the quota of its control groups (Linux)."""

from collections.abc import Iterator
from pathlib import Path

_GROUPS, _ROOT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
_V1_MOUNTS = ("cpu,cpuacct", "cpu", "cpuacct,cpu")


def cpu_quota(groups: Path = _GROUPS, root: Path = _ROOT) -> float | None:
    """Return the processors' time a second, such as 1.5; ``None`` without a limit, and on other systems.

    A group's limit holds for all groups in it, so the smallest on the way to the root counts.

    Args:
        groups: the file that names this process's groups.
        root: where control groups are mounted.
    """
    try:
        lines = groups.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return None
    quotas: list[float] = []
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            quotas += [quota for folder in _upwards(root, path) if (quota := _v2(folder)) is not None]
        elif "cpu" in controllers.split(","):
            for mount in _V1_MOUNTS:
                folders = _upwards(root / mount, path)
                quotas += [quota for folder in folders if (quota := _v1(folder)) is not None]
    return min(quotas, default=None)


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """Yield the folders of a group and those above; in a container, the path may be that of the host."""
    folder = mount / path.strip("/")
    if folder.is_dir() and ".." not in folder.parts:
        while folder != mount:
            yield folder
            folder = folder.parent
    yield mount


def _v2(folder: Path) -> float | None:
    return _ratio(*[*_words(folder / "cpu.max"), "", ""][:2])


def _v1(folder: Path) -> float | None:
    quota, period = _words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us")
    return _ratio(quota[0], period[0]) if quota and period else None


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return []


def _ratio(quota: str, period: str) -> float | None:
    """Return the quota a period; ``None`` for ``max``, -1, and what is not a number."""
    if not (quota.isdecimal() and period.isdecimal()) or int(period) == 0:
        return None
    return int(quota) / int(period)
