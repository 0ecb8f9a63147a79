"""An adapter for those who serve it.

    python -m experiments.export --adapter=results/study/adapters/smollm2-135m/lora/seed_13 \
        --for=vllm --output=served/lora

writes what the target accepts: `peft` and `vllm` an adapter, `merged` a Hugging Face model with the
adapter in its weights. What vLLM has no adapters for is merged too; of encoders it serves
embeddings. What was written is read again and compared with the adapter before anything is said to
be done.
"""

from absl import app, flags

from experiments import session

_ADAPTER = flags.DEFINE_string("adapter", None, "Directory of the adapter.", required=True)
_FOR = flags.DEFINE_enum(
    "for", None, ["peft", "vllm", "merged"], "Who is to serve it.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "Directory to write to, which is new.", required=True)
_MODEL = flags.DEFINE_string(
    "model", None, "The base model; the one that the adapter names if not given."
)


def main(arguments: list[str]) -> None:
    """Flags to the library, its answer to the terminal."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected arguments: {' '.join(arguments[1:])}")
    with session.reporting_errors():
        session.start(distributed=False, deterministic=False, matmul_precision="default")
        # These import JAX, whose settings have to be made before.
        from fsl_jax.adapt.files.exporting import base_name, export_adapter
        from fsl_jax.studies.planning.base_model import load_base

        base = load_base(_MODEL.value or base_name(_ADAPTER.value), "float32")
        exported = export_adapter(_ADAPTER.value, base, _FOR.value, _OUTPUT.value)
        for note in exported.notes:
            print(note)
        what = "a model" if exported.is_model else "an adapter"
        whom = "" if _FOR.value == "merged" else f" for {_FOR.value}"
        print(
            f"Read again it computes the same, up to {exported.difference:.1e} of the largest "
            f"number. {exported.directory} is {what}{whom}."
        )


if __name__ == "__main__":
    app.run(main)
