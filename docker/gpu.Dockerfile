# The server for a model, on a GPU of NVIDIA, whose container toolkit the host needs. Build it in the root of
# the repository, and run it with a run's folder:
#
#   docker build -f docker/gpu.Dockerfile -t hubtune-gpu .
#   docker run --gpus all --read-only --tmpfs /tmp --cap-drop ALL -p 127.0.0.1:8000:8000 \
#     -e HUBTUNE_TOKEN="$(openssl rand -hex 24)" -v "$PWD/runs/pics:/model:ro" hubtune-gpu
FROM nvidia/cuda:12.6.3-cudnn-runtime-ubuntu24.04
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgomp1 python3 python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin hubtune \
 && python3 -m venv /opt/hubtune
# Paddle's builds for GPUs are only on its own index.
RUN /opt/hubtune/bin/pip install --no-cache-dir paddlepaddle-gpu==3.3.1 \
  --index-url https://www.paddlepaddle.org.cn/packages/stable/cu126/
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY hubtune hubtune
COPY recipes recipes
COPY datasets datasets
RUN /opt/hubtune/bin/pip install --no-cache-dir ".[serve]"
ENV PATH="/opt/hubtune/bin:$PATH" HUBTUNE_HOME=/tmp/hubtune HOME=/tmp PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=3)"]
ENTRYPOINT ["hubtune"]
CMD ["serve", "/model", "--host", "0.0.0.0", "--port", "8000"]
