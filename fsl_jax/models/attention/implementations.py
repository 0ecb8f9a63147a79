"""The names of the attention implementations, in a module that does not import JAX."""

AUTO = "auto"
WRITTEN_OUT, XLA, CUDNN = "written_out", "xla", "cudnn"
IMPLEMENTATIONS = (AUTO, WRITTEN_OUT, XLA, CUDNN)
