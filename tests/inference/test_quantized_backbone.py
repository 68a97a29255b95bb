"""Features in int8 have rows of their own in the cache, as wide as the head takes them."""

import numpy as np

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.inference.engine_interface import RunningProgram
from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.quantized_backbone import QuantizedBackbone
from hubtune.models.catalog import find
from hubtune.models.classifier import Classifier

VIEW = Preprocessing(size=32, resize=32)


class _Program:
    name = "openvino-int8"

    def __init__(self, content):
        self.content, self.starts = content, 0

    def start(self):
        self.starts += 1
        row = np.arange(1_000, dtype=np.float32)
        return RunningProgram(self.name, lambda arrays: lambda: [row for _ in arrays])


def _backbone(content=b"program"):
    classifier = Classifier(find("smallnet").backbone, 2)
    for tensor in classifier.parameters():
        tensor.set_value(np.zeros(tensor.shape, np.float32))
    program = _Program(content)
    return QuantizedBackbone(program, classifier, VIEW, module="smallnet", cache=FeatureCache()), program


def test_it_starts_with_the_first_images_and_cuts_their_rows():
    backbone, program = _backbone()
    assert (backbone.name, program.starts) == ("openvino-int8", 0)
    for _ in range(2):
        rows = backbone.begin([np.zeros((32, 32, 3), np.uint8)] * 3)()
        assert [row.tolist() for row in rows] == [[*range(find("smallnet").backbone.width)]] * 3
    assert program.starts == 1


def test_rows_in_the_cache_depend_on_the_program():
    (one, _), (same, _), (other, _) = _backbone(), _backbone(), _backbone(b"other")
    assert one.facts == same.facts
    assert one.facts["engine"] == "openvino-int8"
    assert one.facts["code"] != other.facts["code"]
