import jax.numpy as jnp
import pytest

from fsl_jax.incontext.tree_layout import TreeLayout, TreeTokens
from fsl_jax.incontext.trees import Tree, make_branches
from fsl_jax.models.generation.prompt_reader import PromptReader

TREE = Tree((5, 6, 7), make_branches([(3, 4), (3, 8, 9)]))


def laid_out(base, shared=0, **leaves):
    """Lay out the tree for a model with vectors of soft prompts, of which the first is padding."""
    word = base.params["embeddings"]["word"]
    for name, length in leaves.items():
        mask = jnp.arange(length) > 0
        word = word | {name: jnp.zeros((length, 16)), f"{name}_mask": mask.astype(jnp.float32)}
    params = base.params | {"embeddings": base.params["embeddings"] | {"word": word}}
    return TreeLayout(PromptReader.for_model(base, params), params)(TREE, shared)


@pytest.mark.parametrize(
    ("shared", "leaves", "chain"),
    [
        (0, {}, (5, 6, 7)),
        (2, {}, (7,)),
        (0, {"prompt": 3}, (65, 66, 5, 6, 7)),
        (2, {"prompt": 3}, (7,)),
        (0, {"suffix": 3}, (5, 6, 7, 65, 66)),
        (2, {"suffix": 3, "prompt": 2}, (7, 65, 66)),
        (0, {"suffix": 3, "prompt": 2}, (68, 5, 6, 7, 65, 66)),
    ],
)
def test_a_decoder_reads_soft_prompts_around_the_context(tiny_bases, shared, leaves, chain):
    found = laid_out(tiny_bases["gpt2"], shared, **leaves)
    assert found.chain == chain
    assert found.encoded == ()
    assert found.tokens == (*chain, 3, 8)
    assert found.sizes == (*range(len(chain) + 2, 2, -1), 2, 1)
    assert found.length == len(chain) + 2


def test_an_encoder_reads_the_context(tiny_bases):
    found = laid_out(tiny_bases["t5"], prompt=3)
    assert found.encoded == (65, 66, 5, 6, 7)
    assert found.chain == (0,)
    assert found.tokens == (0, 3, 8)
    assert found.length == 5
    long = TreeTokens((0,), make_branches([tuple(range(20))]), encoded=(4,))
    assert long.length == 20
