"""What is forgotten is counted on the lists of the earlier run, whatever classes the models have."""

import dataclasses

from support.split_folder import draw_split

from hubtune.data.dataset import ListDataset
from hubtune.inference.old_classes import OldClasses, measure_old_classes
from hubtune.inference.prediction import Prediction


@dataclasses.dataclass
class Answers:
    """A model that answers the same class for all images, but cannot read some."""

    label: str
    broken: str = ""

    def predict(self, paths, batch_size):
        for path in paths:
            error = "damaged" if self.broken and self.broken in str(path) else None
            yield Prediction(str(path), None if error else self.label, 0.5, {}, error)


def test_both_models_are_measured_on_the_images_that_can_be_read(tmp_path):
    dataset = ListDataset(draw_split(tmp_path, {"a": 6, "b": 6}, validate=1, test=2))
    measured = measure_old_classes(dataset, Answers("a"), Answers("new class"))
    assert measured == OldClasses("test", 4, 2, 0)
    assert measured.as_dict() == {"list": "test", "count": 4, "before": 2, "now": 0}


def test_the_validation_list_stands_in_and_without_images_there_is_nothing(tmp_path):
    dataset = ListDataset(draw_split(tmp_path, {"a": 6, "b": 6}, validate=1, test=0))
    assert measure_old_classes(dataset, Answers("b"), Answers("b")).list == "validate"
    assert measure_old_classes(dataset, Answers("b", "pics"), Answers("b")) is None
