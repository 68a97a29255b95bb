"""Names of the files in the folders of modules and models."""

MODULE_FILE = "module.yaml"
"""Description of a module."""

MODEL_FILE = "model.json"
"""Description of a model; it distinguishes a model's folder from a module's."""

WEIGHTS_FILE = "model.safetensors"
"""Weights of a model."""

BEST_MODEL = "best_model"
"""Folder of a run's model."""

CODE_FILE = "module.py"
"""A user's own code, which defines the network of a module or a model."""
