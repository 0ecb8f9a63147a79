"""Choose how many models predict: by their outputs, or by texts that they write."""

from jax.sharding import Mesh

from fsl_jax.formulations.formulation import Formulation, WritingFormulation
from fsl_jax.packing.windows import BATCH_TOKENS
from fsl_jax.training.adapted_models import AdaptedModels
from fsl_jax.training.generating_predictor import GeneratingPredictor
from fsl_jax.training.predictor import Predictor


def make_predictor(
    formulation: Formulation,
    models: AdaptedModels,
    mesh: Mesh | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> Predictor | GeneratingPredictor:
    """Make the predictor of N adapted models that suits a formulation.

    Args:
      formulation: says how the models are asked.
      models: the models.
      mesh: the mesh, if there are several devices.
      batch_tokens: about the number of tokens that each model reads at a time.

    Returns:
      An object with `predict(examples) -> Predicted`.
    """
    if isinstance(formulation, WritingFormulation):
        return GeneratingPredictor(formulation, models, mesh)
    return Predictor(formulation, models, mesh, batch_tokens)
