r"""What follows a prompt?

    python -m experiments.generate --model=smollm2-135m --prompt="The capital of France is" \
        --max_new_tokens=20 --output=results/continuations.jsonl

prints the continuations of each --prompt, or of each prompt in the file --prompts, and writes them
to --output. The likeliest token is taken unless --temperature or --num_beams is given.
"""

from absl import app, flags

from experiments import session

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "A decoder or encoder-decoder: embedded name, Hugging Face id, directory or GGUF file.",
    required=True,
)
_ADAPTER = flags.DEFINE_string("adapter", None, "Directory of an adapter of the model.")
_PROMPT = flags.DEFINE_multi_string("prompt", [], "A prompt; may be given several times.")
_PROMPTS = flags.DEFINE_string(
    "prompts", None, "A .txt file with a prompt a line, or .jsonl with `prompt` in each object."
)
_OUTPUT = flags.DEFINE_string("output", None, "A .jsonl file to write; may be gs://…")
_MAX_NEW_TOKENS = flags.DEFINE_integer("max_new_tokens", 64, "Tokens of a continuation at most.")
_TEMPERATURE = flags.DEFINE_float("temperature", 0.0, "Of sampling; 0 takes the likeliest token.")
_TOP_K = flags.DEFINE_integer("top_k", None, "Sample among so many of the likeliest tokens.")
_TOP_P = flags.DEFINE_float(
    "top_p", None, "Sample among the likeliest tokens that together are so probable."
)
_MIN_P = flags.DEFINE_float(
    "min_p", None, "Sample among tokens so many times as probable as the likeliest."
)
_REPETITION_PENALTY = flags.DEFINE_float(
    "repetition_penalty", 1.0, "Above 1, tokens that were seen become less likely."
)
_NUM_BEAMS = flags.DEFINE_integer(
    "num_beams", 1, "Above 1, beam search; with a temperature, beam sampling."
)
_LENGTH_PENALTY = flags.DEFINE_float(
    "length_penalty", 1.0, "Of beam search; above 0 it favours long continuations."
)
_NUM_RETURN_SEQUENCES = flags.DEFINE_integer(
    "num_return_sequences", 1, "Continuations of each prompt: samples, or the best beams."
)
_STOP = flags.DEFINE_multi_string(
    "stop", [], "A string that ends a continuation; \\n is a new line; may be given several times."
)
_STOP_TOKEN = flags.DEFINE_multi_string(
    "stop_token",
    [],
    "A token of the vocabulary that ends one, beside the model's own; may be given several times.",
)
_CHAT = flags.DEFINE_bool("chat", False, "Put prompts into the tokenizer's chat template.")
_SEED = flags.DEFINE_integer("seed", 0, "Of sampling.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Prompts that are continued at a time.")
_DTYPE = flags.DEFINE_enum(
    "dtype",
    "auto",
    ["auto", "float32", "bfloat16"],
    "Of the model; auto is float32 on a CPU and bfloat16 elsewhere.",
)
_ATTENTION = flags.DEFINE_enum(
    "attention",
    "auto",
    ["auto", "written_out", "xla", "cudnn"],
    "How attention is computed; auto is what was measured to be fastest on the platform.",
)
_MATMUL_PRECISION = flags.DEFINE_enum(
    "matmul_precision", "default", ["default", "high", "highest"], "Of matrix products."
)


def main(arguments: list[str]) -> None:
    """Flags to the library, its answer to the terminal and to a file."""
    with session.reporting_errors():
        session.start(
            distributed=False, deterministic=False, matmul_precision=_MATMUL_PRECISION.value
        )
        # These import JAX, whose settings have to be made before.
        from fsl_jax.adapt.files.adapter_files import load_adapter
        from fsl_jax.models import generate
        from fsl_jax.studies.generations import describe, write_generations
        from fsl_jax.studies.planning.base_model import load_base

        prompts, adapter = _prompts(arguments[1:]), _ADAPTER.value
        pretrained = load_base(_MODEL.value, _DTYPE.value, attention=_ATTENTION.value)
        found = generate(
            pretrained,
            prompts,
            params=None if adapter is None else load_adapter(adapter, pretrained).params,
            max_new_tokens=_MAX_NEW_TOKENS.value,
            temperature=_TEMPERATURE.value,
            top_k=_TOP_K.value,
            top_p=_TOP_P.value,
            min_p=_MIN_P.value,
            repetition_penalty=_REPETITION_PENALTY.value,
            num_beams=_NUM_BEAMS.value,
            length_penalty=_LENGTH_PENALTY.value,
            num_return_sequences=_NUM_RETURN_SEQUENCES.value,
            stop=[text.replace("\\n", "\n") for text in _STOP.value],
            stop_tokens=_STOP_TOKEN.value,
            chat=_CHAT.value,
            seed=_SEED.value,
            batch_size=_BATCH_SIZE.value,
        )
        if _OUTPUT.value is not None:
            write_generations(_OUTPUT.value, prompts, found)
        print(describe(prompts, found))
        if _OUTPUT.value is not None:
            print(f"\nThe continuations are in {_OUTPUT.value}")


def _prompts(unexpected: list[str]):
    from fsl_jax.errors import InputError
    from fsl_jax.studies.generations import read_prompts

    path = _PROMPTS.value
    if unexpected:
        raise InputError(
            f"unexpected arguments: {' '.join(unexpected)}. Put quotation marks around a prompt "
            'with spaces: --prompt="The capital of France is"'
        )
    if not _PROMPT.value and path is None:
        raise InputError("there is no prompt: give --prompt, once or several times, or --prompts")
    if _PROMPT.value and path is not None:
        raise InputError("both --prompt and --prompts are given: choose one of the two")
    if path is not None:
        return read_prompts(path)
    return [text.replace("\\n", "\n") for text in _PROMPT.value]


if __name__ == "__main__":
    app.run(main)
