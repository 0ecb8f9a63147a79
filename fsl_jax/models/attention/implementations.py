"""The names of the implementations of attention, in a module that does not import JAX."""

AUTO = "auto"
WRITTEN_OUT, XLA, CUDNN = "written_out", "xla", "cudnn"
IMPLEMENTATIONS = (AUTO, WRITTEN_OUT, XLA, CUDNN)
