r"""Compare greedy generation in this project and in transformers, in turns, in one process.

Example: `JAX_PLATFORMS=cpu python -m benchmarks.generation --repeats=5`

Both continue the same prompts with the same weights to the same number of tokens, and must choose
the same first tokens. Prefill is the time to the first token, decode that of all others. The table
is in `benchmarks/README.md`.
"""

import dataclasses
import functools
import os
import time

# Two frameworks share a GPU here: neither may take all of its memory.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax
import jax.numpy as jnp
import numpy as np
import torch
import transformers
from absl import app, flags

from benchmarks.measure import Row, machine, table
from benchmarks.peer_models import base_model
from fsl_jax.compilation import jit
from fsl_jax.models.generation import decode_loop
from fsl_jax.models.generation.decode_loop import DecodeBatch
from fsl_jax.models.generation.prompt_reader import PromptReader
from fsl_jax.models.generation.sampling import Sampling
from fsl_jax.models.loading import load
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.tasks import load_dataset

_REPEATS = flags.DEFINE_integer("repeats", 5, "Turns of each measurement.")
_BATCHES = flags.DEFINE_list("batches", ["1", "8"], "Prompts that are continued at a time.")
_PROMPT = flags.DEFINE_integer("prompt_tokens", 64, "Tokens of each prompt.")
_NEW = flags.DEFINE_integer("new_tokens", 64, "Tokens of each continuation.")

MODEL = "smollm2-135m"
GOALS = {("cpu", 1): 2.5, ("cpu", 8): 2.0, ("gpu", 1): 4.0, ("gpu", 8): 4.0}
SAME_TOKENS = 8
"""The number of first tokens that must agree; later ones may differ if two are equally likely."""


@dataclasses.dataclass(frozen=True)
class Times:
    """Seconds to the first token, seconds of the others, and all tokens `[B, N]`."""

    prefill: float
    decode: float
    tokens: np.ndarray


class ProjectGeneration:
    """Generation by this project's two compiled programs."""

    def __init__(self, pretrained: Pretrained, ids: np.ndarray, new: int):
        """Compile for prompts `[B, T]` without padding."""
        rows = len(ids)
        reader, self._new = PromptReader.for_model(pretrained), jnp.int32(new)
        self._start = jit(functools.partial(decode_loop.start, reader, new, 1))
        self._run = jit(functools.partial(decode_loop.run, reader), donate_argnums=(1,))
        self._params = pretrained.params
        self._batch = DecodeBatch(
            input_ids=jnp.asarray(ids),
            mask=jnp.ones(ids.shape, bool),
            keys=jax.random.split(jax.random.key(0), rows),
            idle=jnp.zeros(rows, bool),
            end_tokens=jnp.zeros(0, jnp.int32),
        )

    def __call__(self) -> Times:
        """Continue the prompts once."""
        begin = time.perf_counter()
        state = jax.block_until_ready(self._start(self._params, self._batch, Sampling()))
        first = time.perf_counter()
        state = self._run(self._params, state, self._batch, Sampling(), self._new)
        tokens = np.asarray(state.tokens)
        return Times(first - begin, time.perf_counter() - first, tokens)


class TransformersGeneration:
    """Generation by transformers' `generate` with the same weights."""

    def __init__(self, pretrained: Pretrained, ids: np.ndarray, new: int, device: str):
        """Build the model from the same weights; no token ends a continuation."""
        model = base_model(pretrained)
        model.generation_config = transformers.GenerationConfig()
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        self._model = model.to(device, dtype).eval()
        self._ids, self._new = torch.tensor(ids, dtype=torch.long, device=device), new

    def __call__(self) -> Times:
        """Continue the prompts by one token, then by all; the difference is decoding."""
        prefill, _ = self._generate(1)
        whole, tokens = self._generate(self._new)
        return Times(prefill, whole - prefill, tokens)

    def _generate(self, new: int) -> tuple[float, np.ndarray]:
        begin = time.perf_counter()
        with torch.inference_mode():
            sequences = self._model.generate(
                self._ids,
                attention_mask=torch.ones_like(self._ids),
                max_new_tokens=new,
                do_sample=False,
                pad_token_id=0,
            )
        tokens = sequences[:, self._ids.shape[1] :].cpu().numpy()
        return time.perf_counter() - begin, tokens


def prompts(pretrained: Pretrained, rows: int, length: int) -> np.ndarray:
    """Return the first tokens of news stories, int32 `[rows, length]`."""
    texts = (example.text for example in load_dataset("bbc_news").train)
    encoded = (pretrained.tokenizer(text)["input_ids"] for text in texts)
    long_enough = (ids[:length] for ids in encoded if len(ids) >= length)
    return np.array([next(long_enough) for _ in range(rows)], np.int32)


def measure(pretrained: Pretrained, rows: int, device: str) -> list[Row]:
    """Measure prefill and decode of one batch size."""
    ids = prompts(pretrained, rows, _PROMPT.value)
    project = ProjectGeneration(pretrained, ids, _NEW.value)
    peer = TransformersGeneration(pretrained, ids, _NEW.value, device)
    turns = [(project(), peer()) for _ in range(_REPEATS.value + 1)][1:]
    for one, other in turns:
        if not np.array_equal(one.tokens[:, :SAME_TOKENS], other.tokens[:, :SAME_TOKENS]):
            raise ValueError(f"the sides do not do the same work: {one.tokens} {other.tokens}")
    work = f"{pretrained.name}, {rows} × {_PROMPT.value} tokens"
    return [
        _row(f"prefill of {work}", "prefill", turns, rows * _PROMPT.value, None),
        _row(
            f"{_NEW.value - 1} more tokens after {work}",
            "decode",
            turns,
            rows * (_NEW.value - 1),
            GOALS.get((device.replace("cuda", "gpu"), rows)),
        ),
    ]


def _row(
    work: str, part: str, turns: list[tuple[Times, Times]], tokens: int, goal: float | None
) -> Row:
    project, peer = ([getattr(each, part) for each in side] for side in zip(*turns, strict=True))
    rates = (tokens / np.median(side) for side in (peer, project))
    note = "tokens a second: {:.0f} and {:.0f}".format(*rates)
    return Row(work, "transformers", project, peer, goal, note)


def main(arguments: list[str]) -> None:
    """Measure the batch sizes, on a CPU in float32 and on a GPU in bfloat16."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected arguments: {' '.join(arguments[1:])}")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    transformers.logging.set_verbosity_error()
    on_gpu = jax.default_backend() == "gpu" and torch.cuda.is_available()
    if not on_gpu:
        print("gpu: skipped, since JAX and PyTorch do not both see a GPU here", flush=True)
    pretrained = load(MODEL, dtype=jnp.bfloat16 if on_gpu else jnp.float32)
    rows: list[Row] = []
    for batch in map(int, _BATCHES.value):
        rows += measure(pretrained, batch, "cuda" if on_gpu else "cpu")
        print(table(rows[-2:]), flush=True)
    versions = f"JAX {jax.__version__}, transformers {transformers.__version__}"
    load_average = "load {:.1f}, {:.1f}, {:.1f}".format(*os.getloadavg())
    print(
        f"\n{machine()}, {versions}, PyTorch {torch.__version__}, {load_average}\n\n{table(rows)}"
    )


if __name__ == "__main__":
    app.run(main)
