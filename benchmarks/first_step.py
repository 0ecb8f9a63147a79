"""A process that does what a study does up to its first finished step, and says when that was.

It is started by `benchmarks.study_vs_peft`, which counts from before the process was there.
"""

import sys
import time

from benchmarks.ours import Ours
from benchmarks.work import make_work
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.compilation import enable_compilation_cache
from fsl_jax.data.sources import load_dataset
from fsl_jax.models.loading import load


def main(model: str, batch_size: int, length: int) -> None:
    """Loads, compiles, and trains for one dispatch."""
    enable_compilation_cache()
    work = make_work(
        load(model),
        load_dataset("bbc_news"),
        LoRA(),
        batch_size=batch_size,
        length=length,
        steps=100,
    )
    Ours(work).dispatch()
    print(time.time())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
