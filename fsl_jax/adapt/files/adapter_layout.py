"""The names of the files in an adapter directory; `adapter_files` explains them."""

CONFIG = "adapter_config.json"
TENSORS = "adapter_model.safetensors"
HEAD = "head.safetensors"
RECORD = "fsl_jax.json"
CARD = "README.md"
