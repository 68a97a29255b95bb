"""An expert's fast script for a CPU, in 25 lines: OpenVINO features, scikit-learn's classifier.

    python benchmarks/expert.py LISTS mobilenet_v2.safetensors

LISTS is a folder with train_list.txt and test_list.txt; the weights are of paddle.vision's mobilenet_v2.
OpenVINO and scikit-learn use their defaults: on some processors OpenVINO uses bfloat16.
"""

import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openvino
import paddle
from PIL import Image
from safetensors.numpy import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

base, weights = Path(sys.argv[1]), sys.argv[2]
network = paddle.vision.models.mobilenet_v2(num_classes=-1)  # up to the pooled features
network.set_state_dict({k: v for k, v in load_file(weights).items() if not k.startswith("classifier.")})
network.eval()
with tempfile.TemporaryDirectory() as folder, paddle.pir_utils.OldIrGuard():
    spec = paddle.static.InputSpec([None, 3, 224, 224], "float32")
    paddle.jit.save(network, f"{folder}/network", input_spec=[spec])
    core = openvino.Core()
    model = core.compile_model(f"{folder}/network.pdmodel", "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})


def read(path):
    with Image.open(path) as image:
        image.draft("RGB", (256, 256))
        width, height = (round(side * 256 / min(image.size)) for side in image.size)
        image = image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - 224) // 2, (height - 224) // 2
    image = image.crop((left, top, left + 224, top + 224))
    pixels = np.asarray(image, np.float32) / 255 - np.float32([0.485, 0.456, 0.406])
    return (pixels / np.float32([0.229, 0.224, 0.225])).transpose(2, 0, 1)[None]


def features(name):
    lines = [line.rsplit(" ", 1) for line in (base / name).read_text("utf-8").splitlines()]
    rows = np.zeros((len(lines), 1280), np.float32)
    queue = openvino.AsyncInferQueue(model)
    queue.set_callback(
        lambda request, index: np.copyto(rows[index], request.get_output_tensor(0).data.ravel())
    )
    with ThreadPoolExecutor() as pool:
        for index, image in enumerate(pool.map(read, [base / path for path, _ in lines])):
            queue.start_async({0: image}, index)
    queue.wait_all()
    return rows, [int(label) for _, label in lines]


classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
classifier.fit(*features("train_list.txt"))
print(json.dumps({"accuracy": classifier.score(*features("test_list.txt"))}))
