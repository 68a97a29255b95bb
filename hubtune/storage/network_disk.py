"""Whether a folder is on a network disk, where each look at a file is a round trip (Linux)."""

import os
from pathlib import Path

_MOUNTS = Path("/proc/mounts")
_NETWORK = frozenset(
    "nfs nfs4 cifs smb3 smbfs ceph glusterfs lustre beegfs gpfs afs 9p virtiofs orangefs davfs".split()
)


def network_disk(path: Path, mounts: Path = _MOUNTS) -> str | None:
    """Return the type of the network file system of a path, such as ``nfs4``; ``None`` if it is local.

    All file systems in user space count: most of them are buckets. Where the system does not say what is
    mounted, paths count as local.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    place = os.path.realpath(path)
    nearest, kind = "", ""
    for fields in (line.split(" ") for line in lines):
        if len(fields) < 3:
            continue
        # Blanks in names are written as octal numbers.
        point = fields[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        # Of several mounts on one place, the last one is seen.
        if inside and len(point) >= len(nearest):
            nearest, kind = point, fields[2]
    return kind if kind in _NETWORK or kind == "fuse" or kind.startswith("fuse.") else None
