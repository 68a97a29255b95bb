"""Folders of drawn images with their lists, ready to train on."""

from hubtune.data.scan.scanner import scan_classes
from hubtune.data.splits.quota import SplitRequest, SplitSize
from hubtune.data.splits.split import make_split
from support.images import draw_marked_tree, draw_tree


def write_lists(pics, *, validate=4, test=4, train=None, seed=0):
    """Write lists beside a folder of classes, and return their folder; sizes are images a class or "20%"."""
    request = SplitRequest(SplitSize.parse(validate), SplitSize.parse(test), train, seed)
    make_split(scan_classes(pics), request).write(pics.parent, force=True)
    return pics.parent


def draw_split(base, classes, *, validate=4, test=4, size=40, noise=60.0):
    pics = draw_tree(base / "pics", classes, size=size, noise=noise)
    return write_lists(pics, validate=validate, test=test)


def draw_faint_split(base, *, each=16, validate=4, test=4, difference=6):
    """Draw classes a, b and c that differ so little in brightness that some images are misclassified."""

    def tint(pixels, name):
        pixels += difference * ("abc".index(name) - 1)

    pics = draw_marked_tree(base / "pics", dict.fromkeys("abc", each), tint)
    return write_lists(pics, validate=validate, test=test)
