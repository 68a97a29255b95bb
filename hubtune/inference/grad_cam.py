"""Grad-CAM: where a network of any kind looked, by the gradient of a logit.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", 2017.
"""

from collections.abc import Sequence

import numpy as np
import paddle

from hubtune.models.classifier import Classifier

# Tokens beside those of the patches, such as the class token, of which there may be this many.
_MOST_OTHER_TOKENS = 8
# Gradients are smaller than this share of the largest where positions have no effect.
_NO_EFFECT = 1e-6


def grad_cam(classifier: Classifier, image: np.ndarray, label: int) -> np.ndarray | None:
    """Return where the network looked for a class: at least 0, float64 ``[h, w]``.

    The map is the last one whose positions have an effect on the logit. For a transformer with a class token,
    these are the tokens before the last block.

    Args:
        classifier: in evaluation mode.
        image: normalised, float32 ``[channels, h, w]``.
        label: number of the class.

    Returns:
        The map; ``None`` if the network has none.
    """
    with paddle.no_grad():
        activations = classifier.before_last_stage(paddle.to_tensor(image[None]))
    activations = activations.detach()
    activations.stop_gradient = False
    outputs, logits = classifier.run_last_stage(activations)
    tensors = [values for values in (activations, *outputs) if values.ndim in (3, 4)]
    gradients = paddle.grad(logits[0, label], tensors, allow_unused=True)
    for values, gradient in [*zip(tensors, gradients, strict=True)][::-1]:
        if gradient is None:
            continue
        values_map, gradient_map = (_as_map(each, image.shape[1:]) for each in (values, gradient))
        if values_map is None or gradient_map is None:
            continue
        strength = np.abs(gradient_map).sum(axis=0)
        if (strength > _NO_EFFECT * strength.max(initial=0)).sum() > 1:
            return np.maximum(np.tensordot(gradient_map.mean(axis=(1, 2)), values_map, axes=1), 0)
    return None


def _as_map(tensor: paddle.Tensor, sides: Sequence[int]) -> np.ndarray | None:
    """Return a map ``[channels, h, w]`` of a map, or of tokens ``[tokens, channels]``, of one image."""
    values = tensor[0].numpy().astype(np.float64)
    if values.ndim == 3:
        return values
    for others in range(_MOST_OTHER_TOKENS + 1):
        count = len(values) - others
        height = round((count * sides[0] / sides[1]) ** 0.5)
        if height and count % height == 0 and abs(count / height / height - sides[1] / sides[0]) < 0.1:
            return values[others:].T.reshape(-1, height, count // height)
    return None
