"""Export an adapter for the software that serves it.

    python -m experiments.export --adapter=results/study/adapters/smollm2-135m/lora/seed_13 \
        --for=vllm --output=served/lora

writes what the target accepts: `peft` and `vllm` an adapter, `merged` a Hugging Face model with the
adapter in its weights. If vLLM does not support a kind of adapter, it is merged too; of encoders,
vLLM serves embeddings. The script reads the written files and compares them with the adapter before
it reports success.
"""

import dataclasses

from experiments import command
from experiments.shared_flags import AdapterFlags
from fsl_jax.studies.planning.flag_field import flag_field


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportFlags(AdapterFlags):
    """The flags of this script."""

    target: str = flag_field(
        "The software that will serve it.", name="for", choices=("peft", "vllm", "merged")
    )
    output: str = flag_field("Directory to write to; it must not exist yet.")
    model: str | None = flag_field(
        "The base model; if not given, the one that the adapter names, if it is embedded or on "
        "this machine.",
        None,
    )
    trust_base: bool = flag_field(
        "Fetch the base model that the adapter names from the Hugging Face hub.", False
    )
    separate_head: bool = flag_field(
        "Write a task head into head.safetensors beside a merged model.", False
    )


def main(flags: ExportFlags) -> None:
    """Export the adapter and print what was written."""
    from fsl_jax.outputs.lock import hold_path

    with hold_path(flags.output):
        _export(flags)


def _export(flags: ExportFlags) -> None:
    from fsl_jax.adapt.files.base_of_adapter import base_name
    from fsl_jax.adapt.files.exporting import export_adapter
    from fsl_jax.studies.planning.base_model import load_base

    name = flags.model or base_name(flags.adapter, flags.trust_base)
    base = load_base(name, "float32", adapter=flags.adapter)
    exported = export_adapter(
        flags.adapter, base, flags.target, flags.output, separate_head=flags.separate_head
    )
    for note in exported.notes:
        print(note)
    kind = "a model" if exported.is_model else "an adapter"
    target = "" if flags.target == "merged" else f" for {flags.target}"
    print(
        f"Read again it computes the same, up to {exported.difference:.1e} of the largest "
        f"number. {exported.directory} is {kind}{target}."
    )


if __name__ == "__main__":
    command.run(main, ExportFlags)
