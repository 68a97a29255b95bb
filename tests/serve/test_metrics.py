"""Figures for Prometheus."""

from hubtune.serve.metrics import ServeMetrics


def test_figures_are_of_one_server_and_read_when_asked_for():
    metrics, other, waiting = ServeMetrics(), ServeMetrics(), [3]
    metrics.watch(lambda: waiting[0], lambda: 5)
    metrics.requests.labels("/predict", "200").inc()
    waiting[0] = 4
    reply = metrics.reply()
    text = reply.body.decode()
    assert reply.headers["content-type"].startswith("text/plain; version=")
    assert "hubtune_waiting_images 4.0" in text and "hubtune_buffered_bytes 5.0" in text
    assert 'hubtune_requests_total{code="200",route="/predict"} 1.0' in text
    assert "hubtune_requests_total{" not in other.reply().body.decode()
