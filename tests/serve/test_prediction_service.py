"""Many requests at once: none is lost, and what fails is answered."""

import asyncio

import pytest
from support.serving import image_bytes

from hubtune.errors import MachineError, ModelError
from hubtune.serve.limits import RequestError, ServeLimits
from hubtune.serve.metrics import ServeMetrics
from hubtune.serve.models import ModelSource
from hubtune.serve.prediction_service import PredictionService, Wanted


@pytest.fixture
def service():
    service = PredictionService(ServeLimits(waiting_images=4), ServeMetrics())
    yield service
    service.close()


@pytest.fixture(scope="module")
def abc(small_run):
    return ModelSource(small_run).open("abc")


def refusal_of(service, *arguments):
    with pytest.raises(RequestError) as refusal:
        asyncio.run(service.predict(*arguments))
    return refusal.value


def test_no_more_than_the_limit_waits(service, abc):
    images = [image_bytes(seed) for seed in range(4)]

    async def ask_twice():
        first = asyncio.ensure_future(service.predict(abc, images, Wanted()))
        await asyncio.sleep(0)
        with pytest.raises(RequestError) as refusal:
            await service.predict(abc, images[:1], Wanted())
        return await first, refusal.value.status

    found, status = asyncio.run(ask_twice())
    assert len(found) == 4 and status == 503 and service.waiting == 0


def test_an_image_that_cannot_be_read_has_a_row_and_a_status(service, abc):
    [good, bad, large] = asyncio.run(
        service.predict(abc, [image_bytes(), b"x", b"P6 90000 90000 255\n"], Wanted())
    )
    assert good.error is None and good.row.label
    assert bad.as_dict("images[1]")["error"] == "not a picture that can be read here"
    for prediction, status in ((bad, 422), (large, 413)):
        with pytest.raises(RequestError) as refusal:
            prediction.check_readable()
        assert refusal.value.status == status


@pytest.mark.parametrize("error", [MachineError("memory"), MemoryError(), RuntimeError("of an engine")])
def test_an_engine_that_fails_is_answered_503(service, abc, monkeypatch, error):
    def begin(arrays):
        raise error

    monkeypatch.setattr(abc.model, "begin", begin)
    refusal = refusal_of(service, abc, [image_bytes()], Wanted())
    assert (refusal.status, refusal.code) == (503, "engine_failed")
    assert service.is_ready and service.waiting == 0


def test_what_a_model_cannot_do_is_refused(service, abc, monkeypatch):
    def fail(*_):
        raise ModelError("it has no maps")

    monkeypatch.setattr(abc, "start_maps", fail)
    assert refusal_of(service, abc, [image_bytes()], Wanted(explain=True)).code == "no_heat_map"
    monkeypatch.setattr(abc.model, "reference", None)
    assert refusal_of(service, abc, [image_bytes()], Wanted(reject=True)).code == "no_reference"
