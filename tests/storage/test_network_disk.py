"""Network disks are recognized by the type of their file system."""

import pytest

from hubtune.storage.network_disk import network_disk


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        ("/dev/sda / ext4 rw 0 0\n", None),
        ("/dev/sda / ext4 rw 0 0\nserver:/x {here} nfs4 rw 0 0\n", "nfs4"),
        ("server:/x / nfs rw 0 0\n/dev/sdb {here} xfs rw 0 0\n", None),
        ("/dev/sda / ext4 rw 0 0\ns3 {here} fuse.s3fs rw 0 0\n", "fuse.s3fs"),
        ("server:/x {here}-other nfs4 rw 0 0\n", None),
        ("server:/x {here} nfs4 rw 0 0\n/dev/sdb {here} ext4 rw 0 0\n", None),
        ("short\n", None),
    ],
)
def test_the_nearest_mount_decides(tmp_path, mounts, expected):
    pictures = tmp_path / "a b" / "pics"
    pictures.mkdir(parents=True)
    file = tmp_path / "mounts"
    here = str((tmp_path / "a b").resolve()).replace(" ", "\\040")
    file.write_text(mounts.format(here=here))
    assert network_disk(pictures, file) == expected
    assert network_disk(pictures, tmp_path / "none") is None
