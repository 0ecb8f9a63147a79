r"""Train tagging and relation extraction in turns with the peer, and count padding of every task.

Example: `JAX_PLATFORMS=cpu python -m benchmarks.real_tasks --data_dir=data --repeats=7`

The peer is transformers with PEFT and its users' collators, which pad each batch to its own longest
text: for tags `DataCollatorForTokenClassification`, with labels on the first token of each word,
and a linear layer on every token; for relations a linear layer on the hidden states of both marks.
Both sides have the same weights, texts, batches, initial values and optimiser, and must have the
same losses. The part `padding` trains nothing: it plans programs as a study does. `data_dir` has
the directories `wnut17` and `fewrel`; for padding also `sst2`, `trec`, `squad_sample` and
`multi30k_en_de`.
"""

import itertools
from collections.abc import Iterator

from absl import app, flags

from benchmarks.measure import Row
from benchmarks.real_tasks.data_sets import load_task
from benchmarks.real_tasks.padding import (
    DECODER,
    ENCODER,
    ENCODER_DECODER,
    EVERY_WAY,
    HEADINGS,
    TEXT_COLUMNS,
    padding_cells,
    tiny_encoder_decoder,
)
from benchmarks.real_texts.report import report, require_known
from benchmarks.real_texts.training import measure_training
from benchmarks.real_texts.workload import make_text_workload
from fsl_jax.adapt.methods.registry import parse_method
from fsl_jax.models.loading import load
from fsl_jax.studies.reporting.table import markdown_table

_DATA_DIR = flags.DEFINE_string("data_dir", ".", "The directory of the data sets.")
_PARTS = flags.DEFINE_list("parts", ["training", "padding"], "What is measured.")
_DATASETS = flags.DEFINE_list("datasets", ["wnut17", "fewrel"], "Data sets that are trained on.")
_BATCHES = flags.DEFINE_list("batches", ["8", "16"], "Texts of a step.")
_RUNS = flags.DEFINE_list("runs", ["1"], "Runs that are trained at once here.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Turns of each measurement.", 1)
_TURN = flags.DEFINE_integer("turn", 20, "Steps of a side in each turn.", 1)

TRAINING, PADDING = PARTS = ("training", "padding")
METHOD, GOAL = "lora", 1.2


def training_rows() -> Iterator[Row]:
    """Measure trainings, which never reach their last step, after which they would validate."""
    steps = _TURN.value * (_REPEATS.value + 2)
    for name in _DATASETS.value:
        dataset = load_task(name, _DATA_DIR.value)
        for batch, runs in itertools.product(map(int, _BATCHES.value), map(int, _RUNS.value)):
            work = make_text_workload(
                load(ENCODER),
                dataset,
                parse_method(METHOD),
                batch_size=batch,
                steps=steps,
                turn=_TURN.value,
            )
            yield measure_training(work, _TURN.value, _REPEATS.value, runs, GOAL)


def print_padding() -> None:
    """Print the share of padding of every task, and each line as soon as it is counted."""
    models = {name: load(name) for name in (ENCODER, DECODER)}
    models[ENCODER_DECODER] = tiny_encoder_decoder(models[DECODER])
    lines: list[list[str]] = []
    for asked in EVERY_WAY:
        dataset = load_task(asked.data, _DATA_DIR.value)
        lines.append(padding_cells(asked, models[asked.model], dataset))
        print(markdown_table(HEADINGS, lines[-1:], TEXT_COLUMNS).splitlines()[-1], flush=True)
    print(f"\n{markdown_table(HEADINGS, lines, TEXT_COLUMNS)}")


def main(arguments: list[str]) -> None:
    """Measure the parts one after the other."""
    require_known(arguments, _PARTS.value, PARTS)
    if TRAINING in _PARTS.value:
        report([training_rows])
    if PADDING in _PARTS.value:
        print_padding()


if __name__ == "__main__":
    app.run(main)
