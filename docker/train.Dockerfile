# Training and all other commands, on a CPU or a GPU of NVIDIA, whose container toolkit the host needs. Build it
# in the root of the repository:
#
#   docker build -f docker/train.Dockerfile -t hubtune-train .
#   docker build -f docker/train.Dockerfile -t hubtune-train-gpu --build-arg DEVICE=gpu .
#
# Run it with the pictures, the runs and the cache of this machine, as the user who owns them:
#
#   mkdir -p runs ~/.cache/hubtune
#   docker run --rm --init --read-only --tmpfs /tmp --cap-drop ALL --user "$(id -u):$(id -g)" \
#     -v "$PWD/pics:/work/pics:ro" -v "$PWD/runs:/work/runs" -v "$HOME/.cache/hubtune:/tmp/hubtune" \
#     hubtune-train finetune pics
#   docker run --gpus all --rm --init --read-only --tmpfs /tmp --cap-drop ALL --user "$(id -u):$(id -g)" \
#     -v "$PWD/pics:/work/pics:ro" -v "$PWD/runs:/work/runs" -v "$HOME/.cache/hubtune:/tmp/hubtune" \
#     hubtune-train-gpu finetune pics
#
# Pictures are read by threads, which need no shared memory: only several processes on GPUs (--nproc) take some,
# --shm-size 1g. A stopped run goes on by `finetune runs/pics --resume`; give it time to save: docker stop -t 60.
ARG DEVICE=cpu

FROM python:3.13-slim-bookworm AS cpu
# Paddle needs OpenMP, which the image lacks.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgomp1 \
 && rm -rf /var/lib/apt/lists/* \
 && python -m venv /opt/hubtune
ENV EXTRAS=cpu,heic,onnx,remote,tensorboard,tune

FROM nvidia/cuda:12.6.3-cudnn-runtime-ubuntu24.04 AS gpu
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgomp1 python3 python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv /opt/hubtune
# Paddle's builds for GPUs are only on its own index.
RUN /opt/hubtune/bin/pip install --no-cache-dir paddlepaddle-gpu==3.3.1 \
  --index-url https://www.paddlepaddle.org.cn/packages/stable/cu126/
ENV EXTRAS=heic,onnx,remote,tensorboard,tune

# hadolint ignore=DL3006
FROM ${DEVICE}
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY hubtune hubtune
COPY recipes recipes
COPY datasets datasets
RUN /opt/hubtune/bin/pip install --no-cache-dir ".[${EXTRAS}]" \
 && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin hubtune \
 && mkdir -p /work/pics /work/runs \
 && chown -R 10001:10001 /work
# Everything else that is written goes below /tmp, so that the file system may be read-only.
ENV PATH="/opt/hubtune/bin:$PATH" HUBTUNE_HOME=/tmp/hubtune HOME=/tmp PYTHONUNBUFFERED=1
WORKDIR /work
VOLUME ["/work/pics", "/work/runs"]
USER 10001:10001
ENTRYPOINT ["hubtune"]
CMD ["doctor"]
