"""Small CIFAR files as Python 2 wrote the real ones: pickles of protocol 2, made byte by byte."""

import io
import struct
import tarfile

import numpy as np

NAMES = ["bird", "cat", "frog"]


def python_2(value):
    """The pickle of a value by Python 2's cPickle, without its memo."""
    return b"\x80\x02" + _written(value) + b"."


def _written(value):
    if isinstance(value, dict):
        return b"}(" + b"".join(_written(key) + _written(item) for key, item in value.items()) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(_written, value)) + b"e"
    if isinstance(value, str):
        text = value.encode()
        short = len(text) < 256
        return (b"U" + struct.pack("<B", len(text)) if short else b"T" + struct.pack("<i", len(text))) + text
    if isinstance(value, int):
        return b"K" + struct.pack("<B", value) if 0 <= value < 256 else b"J" + struct.pack("<i", value)
    assert isinstance(value, np.ndarray)
    shape = b"".join(map(_written, value.shape))
    code = value.dtype.str[1:].encode()
    data = value.tobytes()
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01(" + shape + b"tcnumpy\ndtype\nU" + bytes([len(code)]) + code + b"K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", len(data))
        + data
        + b"tb"
    )


def pixels(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), np.uint8)


def cifar10(each=12):
    """File name → content of a small CIFAR-10: ``each`` pictures a batch, the classes in turn."""
    meta = {"num_cases_per_batch": each, "label_names": NAMES, "num_vis": 3072}
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    return {"batches.meta": meta, **_batches(names, each, "labels")}


def cifar100(each=12):
    """The same of CIFAR-100, with one coarse class."""
    meta = {"fine_label_names": NAMES, "coarse_label_names": ["animal"]}
    return {"meta": meta, **_batches(["train", "test"], each, "fine_labels", coarse_labels=[0] * each)}


def _batches(names, each, labels, **more):
    return {
        name: {
            "batch_label": name,
            labels: [row % len(NAMES) for row in range(each)],
            **more,
            "data": pixels(each, seed),
            "filenames": [f"s_{row:06}.png" for row in range(each)],
        }
        for seed, name in enumerate(names)
    }


def write_folder(folder, files):
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(python_2(content))
    return folder


def write_archive(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name in ["readme.html", *reversed(files)]:
            content = python_2(files[name]) if name in files else b"<html></html>"
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path
