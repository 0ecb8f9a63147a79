"""The names of the files in an adapter directory; `adapter_files` explains them."""

CONFIG = "adapter_config.json"
TENSORS = "adapter_model.safetensors"
HEAD = "head.safetensors"
RECORD = "fsl_jax.json"
CARD = "README.md"

HASHED = (CONFIG, TENSORS, HEAD)
"""The files whose hashes the record lists."""

MAX_JSON_BYTES = 4 << 20
"""The largest JSON file that is read from an adapter directory."""

ADVICE = "Copy the adapter again from where it was saved, or save it again."
"""A sentence that says what to do about an adapter that is damaged."""
