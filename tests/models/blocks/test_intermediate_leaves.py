import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt import TRAINED_METHODS, attach, combine, parse_method, partition
from fsl_jax.adapt.tree import flatten
from fsl_jax.errors import InputError
from fsl_jax.models.blocks.intermediate_leaves import require_reparametrized

IDS = np.arange(12, dtype=np.int32).reshape(2, 6) + 10
MASK = np.ones((2, 6), bool)
REFUSED = (
    "vera",
    "p_tuning",
    "prefix_tuning",
    "lora(start='pissa', rank=2)",
    "lora(targets='mlp/')+vera",
    "top_layers(1)+p_tuning",
)


@pytest.mark.parametrize("text", sorted({*TRAINED_METHODS, *REFUSED}))
def test_a_forgotten_reparametrize_is_refused(tiny_bases, text):
    base, method = tiny_bases["gpt2"], parse_method(text)
    head = {"head": {"kernel": jnp.zeros((16, 2))}} if text == "linear_probe" else {}
    params, mask = attach(base.params | head, method, jax.random.key(0), calls_hooks=True)
    trainable, frozen = partition(params, mask)

    def output(reparametrize):
        return jax.eval_shape(
            lambda part: base.apply(reparametrize(combine(part, frozen)), IDS, MASK).logits,
            trainable,
        )

    output(method.reparametrize)
    if text not in REFUSED:
        output(lambda params: params)
        return
    with pytest.raises(InputError, match=r"would ignore these .*`adapted\(method,"):
        output(lambda params: params)


def test_every_way_into_the_model_refuses(tiny_bases):
    method = parse_method("p_tuning")
    for family in ("llama", "t5"):
        base = tiny_bases[family]
        params, _ = attach(base.params, method, jax.random.key(0))
        calls = [
            lambda base, params: base.trunk(params, IDS, MASK),
            lambda base, params: base.unembed(params, jnp.zeros((2, 16))),
        ]
        if family == "t5":
            calls = [lambda base, params: base.encode(params, IDS, MASK)]
        for call in calls:
            with pytest.raises(InputError, match="prompt_encoder/embedding"):
                call(base, params)


def test_a_leaf_that_is_in_another_half_counts_for_nothing(tiny_bases):
    params, mask = attach(tiny_bases["llama"].params, parse_method("p_tuning"), jax.random.key(0))
    trainable, frozen = partition(params, mask)
    require_reparametrized(frozen)
    with pytest.raises(InputError) as error:
        require_reparametrized(trainable)
    assert set(error.value.problems) == {
        path for path, leaf in flatten(trainable).items() if leaf is not None
    }
