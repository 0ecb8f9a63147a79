"""Do everything that a study does up to its first finished step, and print the time.

`benchmarks.study_vs_peft` starts this process and counts from before its start.
"""

import sys
import time

from benchmarks.project_training import ProjectTraining
from benchmarks.workload import make_workload
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.compilation import enable_compilation_cache
from fsl_jax.models.loading import load
from fsl_jax.tasks import load_dataset


def main(model: str, batch_size: int, length: int) -> None:
    """Load, compile, and train for one dispatch."""
    enable_compilation_cache()
    work = make_workload(
        load(model),
        load_dataset("bbc_news"),
        LoRA(),
        batch_size=batch_size,
        length=length,
        steps=100,
    )
    ProjectTraining(work).dispatch()
    print(time.time())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
