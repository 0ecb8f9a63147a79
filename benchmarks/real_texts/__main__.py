r"""Compare training and prediction on texts of different lengths with peers, in turns.

Example: `JAX_PLATFORMS=cpu python -m benchmarks.real_texts --data_dir=data --repeats=7`

The peer trains with PEFT, or with PyTorch alone where PEFT lacks the method, and pads each batch to
its own longest text. Both sides have the same weights, texts, batches, initial values and
optimiser, and must have the same losses and predictions. The batches are those that a study draws.
Seconds of a training are those of a step of one run; a study trains several runs at once, and the
peer trains one after the other. `data_dir` has the directories `trec` and
`sst2`, each with `train.jsonl` and `test.jsonl`.
"""

import itertools
from collections.abc import Iterator

from absl import app, flags

from benchmarks.measure import Row
from benchmarks.real_texts.prediction import measure_prediction
from benchmarks.real_texts.report import report, require_known
from benchmarks.real_texts.training import measure_training
from benchmarks.real_texts.workload import load_texts, make_text_workload
from benchmarks.workload import Workload
from fsl_jax.adapt.methods.registry import parse_method
from fsl_jax.models.loading import load

_DATA_DIR = flags.DEFINE_string("data_dir", ".", "The directory of trec and sst2.")
_PARTS = flags.DEFINE_list("parts", ["training", "decoder", "prediction"], "What is measured.")
_DATASETS = flags.DEFINE_list("datasets", ["bbc_headlines", "trec", "sst2"], "Sources of texts.")
_METHODS = flags.DEFINE_list(
    "methods", ["lora", "bitfit", "prompt_tuning", "top_layers"], "Methods of the encoder."
)
_BATCHES = flags.DEFINE_list("batches", ["8", "16"], "Texts of a step.")
_RUNS = flags.DEFINE_list("runs", ["1", "8"], "Runs of the encoder that are trained at once here.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Turns of each measurement.", 1)
_TURN = flags.DEFINE_integer("turn", 40, "Steps of a side in each turn.", 1)

ENCODER, DECODER = "minilm-l6", "smollm2-135m"
DECODER_TEXTS, DECODER_BATCH = "sst2", 8
PREDICTION_STEPS = 40


def make_work(model: str, texts: str, method: str, batch: int, steps: int) -> Workload:
    """Make a workload by names."""
    return make_text_workload(
        load(model),
        load_texts(texts, _DATA_DIR.value),
        parse_method(method),
        batch_size=batch,
        steps=steps,
        turn=_TURN.value,
    )


def training_row(model: str, texts: str, method: str, batch: int, runs: int = 1) -> Row:
    """Measure a training, which never reaches its last step, after which it would validate."""
    work = make_work(model, texts, method, batch, _TURN.value * (_REPEATS.value + 2))
    return measure_training(work, _TURN.value, _REPEATS.value, runs)


def measure_encoder() -> Iterator[Row]:
    """Measure the training of the encoder."""
    for texts in _DATASETS.value:
        for method in _METHODS.value:
            for batch, runs in itertools.product(map(int, _BATCHES.value), map(int, _RUNS.value)):
                yield training_row(ENCODER, texts, method, batch, runs)


def measure_decoder() -> Iterator[Row]:
    """Measure the training of the decoder."""
    yield training_row(DECODER, DECODER_TEXTS, "lora", DECODER_BATCH)


def measure_predictions() -> Iterator[Row]:
    """Measure the prediction of all test sets."""
    for texts in _DATASETS.value:
        work = make_work(ENCODER, texts, "lora", 8, PREDICTION_STEPS)
        yield from measure_prediction(work, load_texts(texts, _DATA_DIR.value), _REPEATS.value)


MEASUREMENTS = {
    "training": measure_encoder,
    "decoder": measure_decoder,
    "prediction": measure_predictions,
}


def main(arguments: list[str]) -> None:
    """Measure the parts one after the other."""
    require_known(arguments, _PARTS.value, MEASUREMENTS)
    report(MEASUREMENTS[part] for part in _PARTS.value)


if __name__ == "__main__":
    app.run(main)
