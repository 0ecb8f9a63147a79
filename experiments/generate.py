r"""Continue prompts.

    python -m experiments.generate --model=smollm2-135m --prompt="The capital of France is" \
        --max_new_tokens=20 --output=results/continuations.jsonl

prints the continuations of each --prompt, or of each prompt in the file --prompts, and writes them
to --output. The likeliest token is taken unless --temperature or --num_beams is given.
"""

import contextlib
import dataclasses
from typing import Any

from experiments import command
from experiments.shared_flags import MODEL_NAMES, ModelFlags
from fsl_jax.errors import InputError
from fsl_jax.studies.planning.flag_field import flag_field

ADVICE = 'Put quotation marks around a prompt with spaces: --prompt="The capital of France is"'


@dataclasses.dataclass(frozen=True, kw_only=True)
class PromptFlags(ModelFlags):
    """A model and its prompts, and the file of the continuations."""

    model: str = flag_field(f"A decoder or encoder-decoder: {MODEL_NAMES}.")
    adapter: str | None = flag_field("Directory of an adapter of the model.", None)
    prompt: tuple[str, ...] = flag_field(
        "A prompt; \\n is a new line; may be given several times.", (), repeated=True, escaped=True
    )
    prompts: str | None = flag_field(
        "A .txt file with a prompt on each line, or .jsonl with `prompt` in each object.", None
    )
    output: str | None = flag_field("A .jsonl file to write; may be gs://…", None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GenerationFlags:
    """The settings of generation, by the names of the parameters of `fsl_jax.models.generate`."""

    max_new_tokens: int = flag_field("The maximum number of tokens of a continuation.", 64)
    temperature: float = flag_field("Of sampling; 0 takes the likeliest token.", 0.0)
    top_k: int | None = flag_field("Sample among this many of the likeliest tokens.", None)
    top_p: float | None = flag_field(
        "Sample among the likeliest tokens that together have this probability.", None
    )
    min_p: float | None = flag_field(
        "Sample among tokens that are at least this many times as probable as the likeliest.", None
    )
    repetition_penalty: float = flag_field(
        "Above 1, tokens that were seen become less likely.", 1.0
    )
    num_beams: int = flag_field("Above 1, beam search; with a temperature, beam sampling.", 1)
    length_penalty: float = flag_field(
        "Of beam search; above 0 it favours long continuations.", 1.0
    )
    num_return_sequences: int = flag_field(
        "Continuations of each prompt: samples, or the best beams.", 1
    )
    stop: tuple[str, ...] = flag_field(
        "A string that ends a continuation; \\n is a new line; may be given several times.",
        (),
        repeated=True,
        escaped=True,
    )
    stop_tokens: tuple[str, ...] = flag_field(
        "A token of the vocabulary that ends a continuation, like the model's own; may be given "
        "several times.",
        (),
        name="stop_token",
        repeated=True,
    )
    chat: bool = flag_field("Put prompts into the tokenizer's chat template.", False)
    seed: int = flag_field("Of sampling.", 0)
    batch_size: int = flag_field("Prompts that are continued at a time.", 8)


def main(flags: PromptFlags, generation: GenerationFlags) -> None:
    """Continue the prompts, print the continuations and write the file."""
    from fsl_jax.outputs.checks import require_plain_file
    from fsl_jax.outputs.lock import hold_path

    if flags.output is not None:
        require_plain_file(flags.output)
    with contextlib.nullcontext() if flags.output is None else hold_path(flags.output):
        _generate(flags, generation)


def _generate(flags: PromptFlags, generation: GenerationFlags) -> None:
    from fsl_jax.adapt.files.adapter_files import load_adapter
    from fsl_jax.models import generate
    from fsl_jax.studies.generations import describe, write_generations
    from fsl_jax.studies.planning.base_model import load_base

    prompts = _prompts(flags)
    pretrained = load_base(flags.model, flags.dtype, attention=flags.attention)
    params = None if flags.adapter is None else load_adapter(flags.adapter, pretrained).params
    continuations = generate(pretrained, prompts, params=params, **vars(generation))
    if flags.output is not None:
        write_generations(flags.output, prompts, continuations)
    print(describe(prompts, continuations))
    if flags.output is not None:
        print(f"\nThe continuations are in {flags.output}")


def _prompts(flags: PromptFlags) -> list[Any]:
    from fsl_jax.studies.generations import read_prompts

    if not flags.prompt and flags.prompts is None:
        raise InputError("there is no prompt: give --prompt, once or several times, or --prompts")
    if flags.prompt and flags.prompts is not None:
        raise InputError("both --prompt and --prompts are given: choose one of the two")
    return list(flags.prompt) if flags.prompts is None else read_prompts(flags.prompts)


if __name__ == "__main__":
    command.run(main, PromptFlags, GenerationFlags, advice=ADVICE)
