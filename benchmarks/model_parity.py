r"""Compare the logits and gradients of models with those of transformers, by architecture.

Example: `python -m benchmarks.model_parity --page=docs/models.md`

Each architecture is a tiny random model of transformers in PyTorch, saved to a directory and loaded
from there; the embedded models are compared as well. An error is the largest difference over the
largest value. Texts are of mixed lengths, padded on the right and on the left.
"""

import functools
import inspect
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
import torch
import transformers
from absl import app, flags
from flax.traverse_util import flatten_dict
from tokenizers import Tokenizer, models

from benchmarks.parity_models import END_OF_TEXT, LENGTH, MODELS, VOCABULARY, build
from fsl_jax.models.checkpoints.head_tensors import tensor_map_of
from fsl_jax.models.embedded import embedded_path
from fsl_jax.models.loading import load
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tensors.writing import write_tensors
from fsl_jax.pages import write_between
from fsl_jax.tasks import load_dataset

_PAGE = flags.DEFINE_string("page", None, "A page whose table is replaced by the one made.")

LIMIT = 1e-5
START, END = "<!-- parity -->", "<!-- end of parity -->"
HEADINGS = ("family", "architecture", "variant", "logits", "gradients", "below 1e-5")

Batch = tuple[np.ndarray, np.ndarray]


def tokens(longest: int = LENGTH, vocabulary: int = VOCABULARY) -> Batch:
    """Draw tokens and their mask: a full row, and rows padded on the right and on the left."""
    ids = np.random.default_rng(0).integers(5, vocabulary, (3, longest), np.int32)
    positions = np.arange(longest)
    mask = np.stack([positions < longest, positions < longest - 9, positions >= 13])
    return np.where(mask, ids, 0).astype(np.int32), mask


def headlines(pretrained: Pretrained, longest: int = 48) -> Batch:
    """Make rows of real text, masked as in `tokens`; trained models need real text."""
    _, mask = tokens(longest)
    texts = (example.text for example in load_dataset("bbc_headlines").train)
    running = [token for text in texts for token in pretrained.tokenizer(text)["input_ids"]]
    ids = np.array(running[: mask.size], np.int32).reshape(mask.shape)
    return np.where(mask, ids, 0).astype(np.int32), mask


def errors(
    pretrained: Pretrained, model: transformers.PreTrainedModel, batch: Batch
) -> list[float]:
    """Return the error of the output, and the largest error of the weights' gradients."""
    ids, mask = batch
    output = jax.jit(functools.partial(_project_output, pretrained, batch))(pretrained.params)
    direction = np.random.default_rng(1).standard_normal(output.shape).astype(np.float32)
    # The outputs at padding are arbitrary.
    direction *= mask[:, :, None] if output.shape[:2] == ids.shape else 1
    peer_output = _peer_output(model, batch, pretrained)
    (peer_output * torch.tensor(direction)).sum().backward()

    @jax.jit
    @jax.grad
    def gradients(params: Any) -> jax.Array:
        return jnp.vdot(_project_output(pretrained, batch, params), direction)

    table = tensor_map_of(pretrained.config, pretrained.head)
    leaves = flatten_dict(gradients(pretrained.params), sep="/")
    project_gradients = {table.canonical(name): each for name, each in write_tensors(leaves, table)}
    compared, differences = set(), [0.0]
    for name, parameter in model.named_parameters(remove_duplicate=False):
        # A tied weight has several names there, and one name here.
        if (gradient := project_gradients.get(table.canonical(name))) is not None:
            compared.add(parameter)
            # A weight that the output does not depend on has no gradient there, and zeros here.
            expected = 0 if parameter.grad is None else parameter.grad.numpy()
            differences.append(np.abs(gradient - expected).max())
    trained = {each for each in model.parameters() if each.grad is not None}
    if missed := trained - compared:
        raise ValueError(f"{len(missed)} weights of {type(model).__name__} have no gradient here")
    largest = max(each.grad.abs().max().item() for each in trained)
    shown = direction != 0
    output_error = _relative(np.asarray(output)[shown], peer_output.detach().numpy()[shown])
    return [output_error, float(max(differences) / largest)]


def _relative(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def _project_output(pretrained: Pretrained, batch: Batch, params: Any) -> jax.Array:
    ids, mask = batch
    options = {}
    if has_own_decoder_tokens(pretrained):
        options = {"decoder_input_ids": ids, "decoder_attention_mask": mask}
    output = pretrained.apply(params, ids, mask, **options)
    return output.hidden if output.logits is None else output.logits


def _peer_output(
    model: transformers.PreTrainedModel, batch: Batch, pretrained: Pretrained
) -> torch.Tensor:
    ids, mask = (torch.tensor(each.astype(np.int64)) for each in batch)
    options: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
    if has_own_decoder_tokens(pretrained):
        options |= {"decoder_input_ids": ids, "decoder_attention_mask": mask}
    elif takes_positions(model):
        # Without positions, the model would count padding too.
        first = getattr(pretrained.config, "first_position", 0)
        options["position_ids"] = first + (mask.cumsum(1) - 1).clamp(min=0)
    output = model(**options)
    return output.logits if "logits" in output else output.last_hidden_state


def has_own_decoder_tokens(pretrained: Pretrained) -> bool:
    """Return True if a model has a decoder with its own input tokens."""
    return pretrained.config.is_encoder_decoder and pretrained.head in (None, "seq2seq_lm")


def takes_positions(model: transformers.PreTrainedModel) -> bool:
    """Return True if a model accepts the positions of tokens."""
    return "position_ids" in inspect.signature(model.forward).parameters


def tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Make a tokenizer with as many words as the tiny models embed."""
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]"}
    special |= {"sep_token": "[SEP]", "mask_token": "[MASK]", "eos_token": "[UNK]"}
    words = [*special.values(), *(f"w{number}" for number in range(VOCABULARY - len(special)))]
    numbered = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "[UNK]"))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=numbered, **special)


def tiny_rows() -> Iterator[list[str]]:
    """Yield a row of the table for each tiny model."""
    for architecture, variant, values, head in MODELS:
        model = build(architecture, values)
        batch = tokens()
        if not _reads_left_padding(model):
            batch = batch[0][:2], batch[1][:2]
        if architecture.endswith("T5ForSequenceClassification"):
            # The model finds the end of a text by this token.
            batch[0][np.arange(2), batch[1].sum(axis=1) - 1] = END_OF_TEXT
        with tempfile.TemporaryDirectory() as directory:
            model.save_pretrained(directory)
            tokenizer().save_pretrained(directory)
            pretrained = load(directory, head=head)
        family = pretrained.config.family
        yield row(family, architecture, variant, errors(pretrained, model, batch))


def _reads_left_padding(model: transformers.PreTrainedModel) -> bool:
    """Return False if a model counts padding as tokens, or reads the first position as a token."""
    name, ending = type(model).__name__, "ForSequenceClassification"
    if name.endswith(("Bert", "Roberta", "T5"), 0, -len(ending)) and name.endswith(ending):
        return False
    return model.config.is_encoder_decoder or takes_positions(model)


def real_rows() -> Iterator[list[str]]:
    """Yield a row for each embedded model."""
    path = embedded_path("minilm-l6")
    bert = transformers.BertModel.from_pretrained(path, attn_implementation="eager")
    path = embedded_path("smollm2-135m")
    llama = transformers.LlamaForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, attn_implementation="eager"
    )
    for name, model in (("minilm-l6", bert), ("smollm2-135m", llama)):
        pretrained = load(name)
        batch = headlines(pretrained)
        differences = errors(pretrained, model.eval(), batch)
        architecture = type(model).__name__
        yield row(pretrained.config.family, architecture, f"the weights of {name}", differences)


def row(family: str, architecture: str, variant: str, differences: list[float]) -> list[str]:
    """Return the cells of a row, and print them, since the whole table takes minutes."""
    passed = "yes" if max(differences) < LIMIT else "**no**"
    cells = [family, architecture, variant, *(f"{error:.1e}" for error in differences), passed]
    print(" | ".join(cells), flush=True)
    return cells


def table(rows: list[list[str]]) -> str:
    """Write the rows in Markdown."""
    lines = [list(HEADINGS), ["---"] * len(HEADINGS), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def main(_: list[str]) -> None:
    """Make the table, and write it into a page if one is named."""
    content = table([*tiny_rows(), *real_rows()])
    if _PAGE.value:
        write_between(Path(_PAGE.value), START, END, content.rstrip())


if __name__ == "__main__":
    app.run(main)
