"""The catalog finds every backbone by each of its names; ``test_networks.py`` has all names."""

import pytest

from hubtune.errors import ModelError
from hubtune.models import catalog


def test_an_unknown_name_is_refused_with_the_nearest_and_a_name_given_twice():
    with pytest.raises(ModelError) as refusal:
        catalog.find("resnet50_imagnet")
    assert str(refusal.value) == (
        "There is no backbone 'resnet50_imagnet'. Did you mean 'resnet50_imagenet'? Known forms are hub "
        "names such as 'resnet50_imagenet', class names such as 'ResNet50', and 'paddle.vision:resnet50'; "
        "`hubtune hub list` shows all."
    )
    record = catalog.find("smallnet")
    with pytest.raises(ValueError, match="two backbones are called 'smallnet'"):
        catalog._by_name([record, record])
