"""The files in the directory of an adapter; `adapter_files` says what each is for."""

CONFIG = "adapter_config.json"
TENSORS = "adapter_model.safetensors"
HEAD = "head.safetensors"
RECORD = "fsl_jax.json"
CARD = "README.md"
