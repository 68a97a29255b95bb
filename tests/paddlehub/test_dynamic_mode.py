"""A function that computes leaves Paddle's static mode, and says so."""

import paddle

from hubtune.paddlehub.dynamic_mode import in_dynamic_mode


def test_the_static_mode_is_left_once(told):
    @in_dynamic_mode
    def add(value, *, other):
        return (paddle.to_tensor(value) + other).item()

    paddle.enable_static()
    assert [add(1.0, other=2) for _ in range(2)] == [3, 3]
    assert told.messages == ["paddle.enable_static() is undone, because hubtune computes in dynamic mode"]
    assert paddle.in_dynamic_mode()
    assert add.__name__ == "add"
