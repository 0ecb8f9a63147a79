"""Both sides of the benchmark do the same work: the same weights give the same losses."""

import jax
import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from benchmarks.measure import require_same_losses
from benchmarks.peer_training import PeerTraining
from benchmarks.project_training import ProjectTraining, initial_leaves
from benchmarks.workload import make_workload
from fsl_jax.adapt.methods.adalora import AdaLoRA
from fsl_jax.adapt.methods.ia3 import IA3
from fsl_jax.adapt.methods.linear_probe import LinearProbe
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.methods.p_tuning import PTuning
from fsl_jax.adapt.methods.prefix_tuning import PrefixTuning
from fsl_jax.adapt.methods.prompt_tuning import PromptTuning
from fsl_jax.adapt.methods.top_layers import TopLayers
from fsl_jax.data.examples import Dataset, Example
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.families.llama.model import LlamaConfig
from fsl_jax.models.families.registry import initialise, module_of
from fsl_jax.models.pretrained import Pretrained

WORDS = ["[PAD]", "[UNK]", "sport", "politics", "Topic", ":", *(f"w{n:09}" for n in range(40))]
CONFIGS = {
    "bert": BertConfig(
        vocab_size=len(WORDS), hidden_size=16, mlp_size=32, num_layers=2, num_heads=2, max_length=20
    ),
    "llama": LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        mlp_size=32,
        num_layers=2,
        num_heads=2,
        num_kv_heads=1,
        head_dim=8,
        max_length=16,
    ),
}


@pytest.fixture(scope="module")
def tokenizer():
    model = Tokenizer(WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    model.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=model, pad_token="[PAD]", unk_token="[UNK]")


@pytest.fixture(scope="module")
def dataset():
    """Six texts of each class, of more words than fill a row."""
    generator = np.random.default_rng(0)
    train = tuple(
        Example(" ".join(WORDS[n] for n in generator.integers(6, len(WORDS), 40)), label)
        for label in ("politics", "sport")
        for _ in range(6)
    )
    return Dataset("words", train, (), (), ("politics", "sport"), 0)


def tiny_workload(family, method, tokenizer, dataset):
    config = CONFIGS[family]
    params = jax.jit(lambda: initialise(config, jax.random.key(0)))()
    noise = jax.random.split(jax.random.key(1), len(jax.tree.leaves(params)))
    leaves, structure = jax.tree.flatten(params)
    pairs = zip(leaves, noise, strict=True)
    params = structure.unflatten([x + 0.3 * jax.random.normal(k, x.shape) for x, k in pairs])
    pretrained = Pretrained("tiny", config, module_of(config), params, tokenizer, "0" * 64)
    return make_workload(
        pretrained, dataset, method, batch_size=4, length=16, steps=6, learning_rate=0.02, shots=3
    )


@pytest.mark.parametrize(
    ("family", "method"),
    [
        ("bert", LoRA()),
        ("bert", LoRA(learning_rate_ratio=4.0)),
        ("bert", LinearProbe()),
        ("bert", TopLayers(1)),
        ("bert", PromptTuning(4)),
        ("llama", LoRA()),
        ("bert", IA3()),
        ("bert", PTuning(3, hidden=4)),
        ("bert", PTuning(3, "mlp", 4)),
        ("bert", PrefixTuning(3, 4)),
        # A budget of all ranks: how it shrinks is up to the number of steps, which files leave out.
        ("bert", AdaLoRA(rank=4, target_rank=4)),
    ],
    ids=lambda each: getattr(each, "name", each),
)
@pytest.mark.filterwarnings("ignore::FutureWarning:transformers")
# AdaLoRA's pattern has names of parameters, where LoRA's has names of layers.
@pytest.mark.filterwarnings("ignore:The following rank_pattern keys:RuntimeWarning")
def test_both_sides_have_the_same_losses(family, method, tokenizer, dataset):
    work = tiny_workload(family, method, tokenizer, dataset)
    project = ProjectTraining(work, runs=2)
    project.run()
    assert project.losses.shape == (2, 6)
    assert np.abs(np.diff(project.losses)).max(axis=1).min() > 0.01
    assert not np.allclose(*project.losses)
    for run, options in enumerate([{}, {"last_logits_only": False}]):
        peer = PeerTraining(work, initial_leaves(project, run), **options)
        peer.run()
        assert len(peer.losses) == 6
        require_same_losses(project.losses[run], peer.losses, 1e-4)
