"""Directories with tiny models and heads."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from fsl_jax.models.checkpoints.head_config import json_of
from fsl_jax.models.checkpoints.head_tensors import shapes_of, tensor_map_of
from fsl_jax.models.tensors.writing import write_tensors


@pytest.fixture
def directory(tmp_path, tiny_models, special_tokenizer):
    """Saves a tiny model with a random head, or without one; returns where, and its leaves."""

    def make(model, head=None, labels=0, **values):
        config = tiny_models[model].config
        draw = np.random.default_rng(0).standard_normal
        shapes = shapes_of(config, head, labels)
        leaves = {path: draw(shape).astype(np.float32) for path, shape in shapes.items()}
        tensors = dict(write_tensors(leaves, tensor_map_of(config, head)))
        tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
        special_tokenizer.save_pretrained(tmp_path)
        save_file(tensors, tmp_path / "model.safetensors")
        names = [f"LABEL_{number}" for number in range(labels)]
        values = json_of(config, head, names) | values
        (tmp_path / "config.json").write_text(json.dumps(values))
        return str(tmp_path), leaves

    return make
