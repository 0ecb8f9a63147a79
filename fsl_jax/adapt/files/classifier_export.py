"""Write a merged model with its task head, and compare it with the adapter."""

from collections.abc import Sequence

import jax.numpy as jnp
from etils import epath

from fsl_jax.adapt.files.adapter_files import Adapter
from fsl_jax.adapt.files.comparison import difference_of, outputs_on, tokens_of
from fsl_jax.adapt.files.task_head import as_classifier, centred, run_task_head
from fsl_jax.adapt.tree import Params
from fsl_jax.models.checkpoints.exporting import export
from fsl_jax.models.loading import load
from fsl_jax.models.pretrained import Pretrained


def write_classifier(
    adapter: Adapter,
    merged: Params,
    pretrained: Pretrained,
    staging: epath.Path,
    output: epath.Path,
    texts: Sequence[str],
) -> tuple[float, list[str]]:
    """Write a merged model whose head is the adapter's task head.

    Args:
      adapter: the adapter, with a task head.
      merged: the merged parameters, with the head.
      pretrained: the base model.
      staging: the directory to write to.
      output: the directory that it becomes, for errors.
      texts: the texts on which both are compared.

    Returns:
      The largest difference of the class logits, less their mean over the classes, relative to the
      largest; and notes on using the model.

    Raises:
      InputError: transformers' class for the family cannot compute what the head does, or the
        written model gives different results.
    """
    description = adapter.description or {}
    model, params = as_classifier(pretrained, merged, description)
    export(model, staging, params=params)
    again = load(str(staging), dtype=jnp.float32, head=model.head)
    numbers = outputs_on(again, again.params, pretrained, texts)
    tokens = tokens_of(pretrained, texts)
    expected = run_task_head(pretrained, adapter.params, description["pooling"], *tokens)
    difference = difference_of(centred(numbers), centred(expected), output)
    labels = ", ".join(model.labels)
    return difference, [
        f"Its head classifies texts as {labels}; load it in float32 or bfloat16, not in float16."
    ]
