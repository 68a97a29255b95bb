"""A frozen backbone's work is shared only where there are other ranks."""

from types import SimpleNamespace

from hubtune.train.distributed.share import share_extraction


def test_a_process_alone_computes_all():
    backbone = SimpleNamespace(share=None, engine="paddle")
    share_extraction(SimpleNamespace(group=None), backbone, "features")
    assert backbone.share is None


def test_other_ranks_are_told_layer_engine_and_views():
    orders = []
    group = SimpleNamespace(
        size=1000, order=lambda what, document, arrays: orders.append((what, document)), receive=None
    )
    backbone = SimpleNamespace(share=None, engine="openvino")
    share_extraction(SimpleNamespace(group=group), backbone, "features")
    view = SimpleNamespace(model_dump_json=lambda: "view")
    outputs = backbone.share([view], ["a", "b", "c"], 2, iter)
    assert next(outputs) == "a"
    [(what, document)] = orders
    assert what == "extract"
    assert document == {
        "layer": "features",
        "engine": "openvino",
        "views": ["view"],
        "paths": ["a", "b", "c"],
        "size": 2,
    }
