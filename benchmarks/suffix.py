r"""Compare the seconds of a step with a soft prompt after the text and before it.

Example: `JAX_PLATFORMS=cpu python -m benchmarks.suffix --repeats=5`

`smollm2-135m`, 8 texts, 20 vectors; a step of each kind in turns, in one process. With a prompt
after the text, the keys and values of the frozen input are kept. The note says how many such steps
computing them takes.
"""

import time

from absl import app, flags

from benchmarks.measure import Row, alternate, machine, table
from benchmarks.project_training import ProjectTraining
from benchmarks.workload import make_workload
from fsl_jax.adapt.methods.prompt_tuning import PromptTuning
from fsl_jax.models.loading import load
from fsl_jax.tasks import load_dataset

_REPEATS = flags.DEFINE_integer("repeats", 5, "Turns of each measurement.")
_TOKENS = flags.DEFINE_list("tokens", ["32", "128"], "Tokens of a text.")

MODEL, DATASET, BATCH, LENGTH, STEPS = "smollm2-135m", "bbc_news", 8, 20, 40


def compare(tokens: int, repeats: int) -> Row:
    """Measure the line of texts of one length.

    Args:
      tokens: of a text.
      repeats: the number of turns that count.

    Returns:
      Seconds of a step with the prompt after the text; the peer has it before the text.
    """
    pretrained, dataset = load(MODEL), load_dataset(DATASET)
    before, after = (
        ProjectTraining(
            make_workload(
                pretrained,
                dataset,
                PromptTuning(LENGTH, position=position),
                batch_size=BATCH,
                length=tokens,
                steps=STEPS,
            )
        )
        for position in ("prefix", "suffix")
    )
    after.cache()
    start = time.perf_counter()
    after.cache()
    caching = time.perf_counter() - start
    seconds = alternate({"before": before.dispatch, "after": after.dispatch}, repeats)
    share = caching / min(seconds["after"])
    work = f"a step of prompt_tuning, {BATCH} × {tokens} tokens, {LENGTH} vectors"
    note = f"filling the cache takes as long as {share:.1f} such steps"
    return Row(work, "before the text", seconds["after"], seconds["before"], None, note)


def main(_: list[str]) -> None:
    """Print the table."""
    rows = [compare(int(tokens), _REPEATS.value) for tokens in _TOKENS.value]
    print(f"{machine()}\n\n{table(rows)}")


if __name__ == "__main__":
    app.run(main)
