import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_heads import EXAMPLES

from fsl_jax.formulations.batches import packed_batch

EXAMPLES = EXAMPLES["marker_head"]


@pytest.mark.parametrize(
    ("family", "places"), [("bert", (1, 6)), ("llama", (4, 8)), ("t5", (1, 6))]
)
def test_the_states_of_both_marks_are_read(tiny_head, family, places):
    head = tiny_head(family=family, name="marker_head")
    tokenized = head.tokenize(EXAMPLES)
    assert tuple(tokenized.features["places"][0]) == places
    ids = tokenized.tokens[0]
    assert head.pretrained.tokenizer.decode(ids) == "w1 [UNK] w2 w3 [UNK] w4 [UNK] w5 [UNK]"
    params = head.prepare(head.pretrained.params, jax.random.key(0))
    assert params["head"]["kernel"].shape == (2 * head.pretrained.config.hidden_size, 3)
    features = {"places": tokenized.features["places"][:1]}
    batch = packed_batch([ids], features=features)

    @jax.jit
    def read(params, batch):
        hidden = head.hidden(params, batch, {})[0]
        both = jnp.concatenate([hidden[place] for place in places])
        return head.outputs(params, batch)[0], both @ params["head"]["kernel"]

    np.testing.assert_allclose(*read(params, batch), rtol=1e-4, atol=1e-6)


def test_answers_are_relations(tiny_head):
    head = tiny_head("marker_head", "bert")
    tokenized = head.tokenize(EXAMPLES)
    assert head.targets(EXAMPLES, tokenized).tolist() == [0, 2, 0, 1]
    outputs = np.float32([[0, 1, 2], [3, 2, 1]])
    assert head.decode(outputs, EXAMPLES[:2], tokenized) == ["west", "east"]
    assert tiny_head("marker_head", "bert", max_length=8).tokenize(EXAMPLES).truncated == 3
