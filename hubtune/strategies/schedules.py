"""Learning-rate schedules: pure functions, step → factor on the rate."""


def linear_decay(step: int, total: int) -> float:
    """Fall linearly from 1 at step 0 to 0 at step ``total`` (PaddleHub's ``linear_decay``)."""
    return max(0.0, 1.0 - step / total)
