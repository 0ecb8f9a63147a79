"""Choose how many runs predict: by their outputs, or by texts that they write."""

from jax.sharding import Mesh

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.tree import Params
from fsl_jax.formulations.formulation import Formulation, WritingFormulation
from fsl_jax.packing.windows import BATCH_TOKENS
from fsl_jax.training.generating_predictor import GeneratingPredictor
from fsl_jax.training.predictor import Predictor


def make_predictor(
    formulation: Formulation,
    method: Method,
    trainable: Params,
    frozen_leaves: Params,
    shared: Params,
    mesh: Mesh | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> Predictor | GeneratingPredictor:
    """Make the predictor of N adapted models that suits a formulation.

    Args:
      formulation: says how the models are asked.
      method: the method of any of the runs.
      trainable: trainable leaves `[N, ...]`.
      frozen_leaves: frozen leaves that differ between runs, `[N, ...]`.
      shared: the frozen base.
      mesh: the mesh, if there are several devices.
      batch_tokens: about the number of tokens that each model reads at a time.

    Returns:
      An object with `predict(examples) -> Predicted`.
    """
    leaves = trainable, frozen_leaves, shared
    if isinstance(formulation, WritingFormulation):
        return GeneratingPredictor(formulation, method, *leaves, mesh)
    return Predictor(formulation, method, *leaves, mesh, batch_tokens)
