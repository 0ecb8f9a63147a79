"""The share of padding of each task, in what a study would train and predict."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.real_texts.project_prediction import packed_tokens
from benchmarks.workload import SEED, SHOTS
from fsl_jax.adapt.tree import unflatten
from fsl_jax.data.examples import Dataset, Example
from fsl_jax.errors import InputError
from fsl_jax.formulations.formulation import Formulation, WritingFormulation
from fsl_jax.formulations.writing.answer_writing import BATCH_PROMPTS
from fsl_jax.models.families.registry import module_of, parameter_shapes
from fsl_jax.models.families.t5.config import T5Config
from fsl_jax.models.generation.prompt_reader import PromptReader
from fsl_jax.models.generation.prompts import batches
from fsl_jax.models.generation.settings import GenerationSettings
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.packing.padding import Padding
from fsl_jax.studies.planning.plan import plan_programs
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.running.prepare import Prepared, prepare
from fsl_jax.tasks.splitting import few_shot_split
from fsl_jax.training.stacked_runs import stack_shapes

BATCHES, RUNS, STEPS = (8, 16), (1, 8), 100
HEADINGS = (
    *("task", "data", "model", "asked by", "shots"),
    *(
        f"{batch} examples, {runs} {'run' if runs == 1 else 'runs'}"
        for batch in BATCHES
        for runs in RUNS
    ),
    "prediction",
)
TEXT_COLUMNS = 4
"""The columns of the table that have texts."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """A way to ask a model for the answers of a data set.

    Attributes:
      data: the name of the data set.
      model: the name of the model.
      flags: fields of the study's config.
      remark: what is special about it, for the table.
    """

    data: str
    model: str
    flags: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    remark: str = ""


ENCODER, DECODER, ENCODER_DECODER = "minilm-l6", "smollm2-135m", "t5"
WRITTEN = {"formulation": "written", "max_answer": 96}

EVERY_WAY: tuple[Asked, ...] = (
    *(Asked(data, ENCODER) for data in ("bbc_headlines", "trec", "sst2", "bbc_news")),
    Asked("trec", DECODER),
    Asked("wnut17_types", ENCODER),
    Asked("trec_columns", ENCODER),
    Asked("sst2_numbers", ENCODER),
    Asked("wnut17", ENCODER),
    Asked("fewrel", ENCODER),
    Asked("squad_sample", ENCODER),
    Asked("squad_sample", ENCODER, {"max_length": 128}, "windows of 128 tokens"),
    Asked("squad_choices", ENCODER),
    *(Asked(data, DECODER, WRITTEN) for data in ("multi30k_en_de", "squad_sample", "wnut17")),
    *(Asked(data, ENCODER_DECODER, WRITTEN) for data in ("multi30k_en_de", "squad_sample")),
)
"""Lines of the table. Lengths of tokens matter alone, so the encoder-decoder is a tiny one."""


def tiny_encoder_decoder(like: Pretrained) -> Pretrained:
    """Return an encoder-decoder without weights worth the name, with the tokens of another model.

    Args:
      like: the model whose tokenizer it has.

    Returns:
      A T5 model whose weights are all 0.
    """
    sizes = {"hidden_size": 8, "mlp_size": 8, "num_heads": 1, "head_dim": 8}
    config = T5Config(like.config.vocab_size, num_layers=1, num_decoder_layers=1, **sizes)
    shapes = parameter_shapes(config)
    leaves = {path: np.zeros(shape, np.float32) for path, shape in shapes.items()}
    module = module_of(config)
    return Pretrained("t5", config, module, unflatten(leaves), like.tokenizer, "0" * 64)


def padding_cells(asked: Asked, pretrained: Pretrained, dataset: Dataset) -> list[str]:
    """Write the line of one way to ask.

    Args:
      asked: the way.
      pretrained: its model.
      dataset: its data set.

    Returns:
      A cell for each of `HEADINGS`.
    """
    seeds = tuple(range(SEED, SEED + max(RUNS)))
    shots = most_shots(dataset, seeds)
    config = StudyConfig(
        models=(asked.model,),
        dataset=asked.data,
        methods="lora",
        learning_rates="0.001",
        steps=str(STEPS),
        shots=shots,
        **asked.flags,
    )
    prepared = list(_every_training(config, seeds, pretrained, dataset))
    formulation = prepared[0].formulation
    shares = [each.padding for each in prepared]
    shares.append(prediction_padding(formulation, dataset.test).share)
    data = f"{asked.data}, {asked.remark}" if asked.remark else asked.data
    texts = [dataset.task, data, asked.model, formulation.name, str(shots)]
    return [*texts, *(f"{share:.1%}" for share in shares)]


def most_shots(dataset: Dataset, seeds: Sequence[int], shots: int = SHOTS) -> int:
    """Return the number of shots that a study can draw, at most those that are asked for."""
    for fewer in range(shots, 1, -1):
        try:
            for seed in seeds:
                few_shot_split(dataset, fewer, seed)
        except InputError:
            continue
        return fewer
    return 1


def prediction_padding(formulation: Formulation, examples: Sequence[Example]) -> Padding:
    """Count the tokens of a prediction, of prompts alone where answers are written.

    Args:
      formulation: reads the examples.
      examples: the examples of a test set.

    Returns:
      The tokens that are computed, and those of the examples.
    """
    if not isinstance(formulation, WritingFormulation):
        return packed_tokens(list(map(len, formulation.tokenize(examples).tokens)))
    prompts = [prompt.ids for prompt in formulation.prompts(examples)]
    reader = PromptReader.for_model(formulation.pretrained)
    settings = GenerationSettings(max_new_tokens=formulation.max_answer, batch_size=BATCH_PROMPTS)
    computed = sum(batch.input_ids.size for batch in batches(reader, prompts, settings))
    return Padding(computed, sum(map(len, prompts)))


def _every_training(
    config: StudyConfig, seeds: Sequence[int], pretrained: Pretrained, dataset: Dataset
) -> Iterator[Prepared]:
    """Prepare a program for each size of batches and number of runs, without training it."""
    for batch in BATCHES:
        for runs in RUNS:
            own = dataclasses.replace(config, seeds=tuple(seeds[:runs]), batch_size=str(batch))
            (planned,) = plan_programs(own)
            yield prepare(planned, pretrained, dataset, own, stack_shapes)
