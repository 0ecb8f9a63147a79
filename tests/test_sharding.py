"""The mesh, the table of leaves and axes, and arrays laid out on eight devices."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

import fsl_jax
from fsl_jax.adapt import LoRA, TopLayers, attach
from fsl_jax.adapt.methods.full import Full
from fsl_jax.adapt.tree import flatten
from fsl_jax.errors import InputError
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.families.llama.model import LlamaConfig
from fsl_jax.models.families.registry import initialise
from fsl_jax.models.families.t5.config import T5Config
from fsl_jax.sharding import (
    device_rows,
    make_mesh,
    over_rows,
    parameter_shardings,
    partition_spec,
    place,
    replicate,
    replicated,
    require_divided,
    run_shardings,
    unused_devices,
)
from fsl_jax.training.fit_config import FitConfig
from fsl_jax.training.state import initial_state

SMOLLM2 = LlamaConfig(
    vocab_size=49152,
    hidden_size=576,
    mlp_size=1536,
    num_layers=30,
    num_heads=9,
    num_kv_heads=3,
    head_dim=64,
    max_length=8192,
)
UNTIED = LlamaConfig(
    vocab_size=512,
    hidden_size=64,
    mlp_size=128,
    num_layers=2,
    num_heads=4,
    num_kv_heads=4,
    head_dim=16,
    max_length=64,
    tied=False,
)
MINILM = BertConfig(
    vocab_size=30522,
    hidden_size=384,
    mlp_size=1536,
    num_layers=6,
    num_heads=12,
    max_length=512,
    has_pooler=True,
)

LLAMA_SPECS = {
    "embeddings/word/embedding": P("model", None),
    "layers/attention/query/kernel": P(None, None, "model"),
    "layers/attention/key/kernel": P(None, None, "model"),
    "layers/attention/value/kernel": P(None, None, "model"),
    "layers/attention/output/kernel": P(None, "model", None),
    "layers/attention/norm/scale": P(None, None),
    "layers/mlp/gate/kernel": P(None, None, "model"),
    "layers/mlp/up/kernel": P(None, None, "model"),
    "layers/mlp/down/kernel": P(None, "model", None),
    "layers/mlp/norm/scale": P(None, None),
    "final_norm/scale": P(None),
}
BERT_SPECS = {
    "embeddings/word/embedding": P("model", None),
    "embeddings/position/embedding": P(None, None),
    "embeddings/token_type/embedding": P(None, None),
    "embeddings/norm/scale": P(None),
    "embeddings/norm/bias": P(None),
    **{
        f"layers/attention/{name}/{leaf}": spec
        for name in ("query", "key", "value")
        for leaf, spec in (("kernel", P(None, None, "model")), ("bias", P(None, "model")))
    },
    "layers/attention/output/kernel": P(None, "model", None),
    "layers/attention/output/bias": P(None, None),
    "layers/attention/norm/scale": P(None, None),
    "layers/attention/norm/bias": P(None, None),
    "layers/mlp/up/kernel": P(None, None, "model"),
    "layers/mlp/up/bias": P(None, "model"),
    "layers/mlp/down/kernel": P(None, "model", None),
    "layers/mlp/down/bias": P(None, None),
    "layers/mlp/norm/scale": P(None, None),
    "layers/mlp/norm/bias": P(None, None),
    "pooler/kernel": P(None, None),
    "pooler/bias": P(None),
}

FLAN_T5 = T5Config(
    vocab_size=32128,
    hidden_size=512,
    mlp_size=1024,
    num_layers=8,
    num_decoder_layers=8,
    num_heads=6,
    head_dim=64,
    feed_forward="gated-gelu",
    tied=False,
    scaled=False,
)
_PROJECTIONS = {
    "query/kernel": P(None, None, "model"),
    "key/kernel": P(None, None, "model"),
    "value/kernel": P(None, None, "model"),
    "output/kernel": P(None, "model", None),
    "norm/scale": P(None, None),
}
_PERCEPTRON = {
    path.removeprefix("layers/"): spec for path, spec in LLAMA_SPECS.items() if "/mlp/" in path
}
T5_SPECS = {
    "embeddings/word/embedding": P("model", None),
    "unembedding/kernel": P(None, "model"),
    **{
        f"{stack}/{path}": spec
        for stack in ("encoder", "decoder")
        for path, spec in {
            "relative_position/embedding": P(None, None),
            "final_norm/scale": P(None),
            **{f"layers/attention/{path}": spec for path, spec in _PROJECTIONS.items()},
            **{f"layers/{path}": spec for path, spec in _PERCEPTRON.items()},
        }.items()
    },
    **{f"decoder/layers/cross_attention/{path}": spec for path, spec in _PROJECTIONS.items()},
}


def shapes(config):
    return jax.eval_shape(lambda: initialise(config, jax.random.key(0)))


def specs(shardings):
    return {path: sharding.spec for path, sharding in flatten(shardings).items()}


@pytest.fixture(scope="module")
def mesh():
    return make_mesh(2, 2, 2)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (SMOLLM2, LLAMA_SPECS),
        (UNTIED, {**LLAMA_SPECS, "unembedding/kernel": P(None, "model")}),
        (MINILM, BERT_SPECS),
        (FLAN_T5, T5_SPECS),
    ],
    ids=["smollm2", "untied", "minilm", "flan-t5"],
)
def test_every_leaf_of_a_family_is_laid_out_as_intended(mesh, config, expected):
    assert specs(parameter_shardings(shapes(config), mesh)) == expected


@pytest.mark.parametrize("config", [SMOLLM2, MINILM], ids=["smollm2", "minilm"])
@pytest.mark.parametrize("method", [LoRA(targets="."), TopLayers(2)], ids=["lora", "top_layers"])
def test_what_a_method_adds_is_whole_and_a_cut_stack_is_laid_out_as_before(mesh, config, method):
    base = shapes(config)
    extended = jax.eval_shape(lambda params: attach(params, method, jax.random.key(0))[0], base)
    known = specs(parameter_shardings(base, mesh))
    for path, spec in specs(parameter_shardings(extended, mesh)).items():
        below = path.replace("top_layers/", "layers/")
        assert spec == known.get(below, P(*[None] * len(spec))), path


def test_no_layer_axis_is_ever_divided(mesh):
    # Two layers, as many as the axis `model`, so that nothing but the table protects them.
    for path, spec in specs(parameter_shardings(shapes(UNTIED), mesh)).items():
        assert "layers/" not in path or spec[0] is None, path


@pytest.mark.parametrize("path", ["head/kernel", "head/bias", "prompt/embedding", "anything"])
def test_leaves_that_no_rule_names_are_whole(mesh, path):
    assert partition_spec(path, (8, 8), mesh) == P(None, None)


def test_an_axis_that_does_not_divide_a_leaf_is_left_out():
    mesh = make_mesh(model=4)
    assert partition_spec("embeddings/word/embedding", (30522, 384), mesh) == P(None, None)
    assert partition_spec("layers/mlp/up/kernel", (6, 384, 1536), mesh) == P(None, None, "model")


def test_a_mesh_that_divides_no_weight_is_refused():
    mesh = make_mesh(model=8)
    odd = {"layers": {"mlp": {"up": {"kernel": jax.ShapeDtypeStruct((2, 30, 30), jnp.float32)}}}}
    with pytest.raises(InputError, match="--mesh_model=8 divides none"):
        require_divided(parameter_shardings(odd, mesh), mesh)
    require_divided(parameter_shardings(shapes(SMOLLM2), mesh), mesh)
    require_divided(parameter_shardings(odd, make_mesh(runs=8)), make_mesh(runs=8))


def test_what_runs_have_is_spread_over_them_and_laid_out_as_its_parameter(mesh):
    trainable = {
        "layers": {
            "attention": {
                "query": {"kernel": jnp.ones((4, 3, 8, 8)), "lora_a": jnp.ones((4, 3, 8, 2))}
            }
        },
        "head": {"kernel": jnp.ones((4, 8, 5))},
    }
    state = jax.eval_shape(lambda leaves: initial_state(leaves, FitConfig(4, 2), Full()), trainable)
    shardings = run_shardings(state, mesh)
    assert shardings.step.spec == P()
    assert shardings.runs.losses.spec == P("runs", None)
    assert shardings.runs.best_step.spec == P("runs")
    trees = [
        shardings.runs.trainable,
        shardings.runs.best,
        *(
            part.mu
            for part in jax.tree.leaves(
                shardings.runs.optimizer, is_leaf=lambda part: hasattr(part, "mu")
            )
            if hasattr(part, "mu")
        ),
    ]
    assert len(trees) == 3
    for tree in trees:
        assert specs(tree) == {
            "layers/attention/query/kernel": P("runs", None, None, "model"),
            "layers/attention/query/lora_a": P("runs", None, None, None),
            "head/kernel": P("runs", None, None),
        }


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((16, 1, 1), "needs 16 devices and there are 8: choose sizes"),
        ((2, 3, 2), "needs 12 devices and there are 8"),
        ((3, 1, 1), "takes 3 of 8 devices: choose sizes whose product divides"),
        ((0, 1, 1), "expected sizes of 1 or more"),
        ((1, -1, 1), "--mesh_runs=1 --mesh_batch=-1 --mesh_model=1"),
    ],
)
def test_meshes_that_do_not_go_with_the_devices_are_refused(sizes, message):
    with pytest.raises(InputError, match=message):
        make_mesh(*sizes)


def test_several_processes_have_to_take_part_with_all_their_devices():
    devices = [mock.Mock(spec=jax.Device, process_index=number // 2) for number in range(4)]
    with pytest.raises(InputError, match="all have to take part: choose sizes whose product is 4"):
        make_mesh(2, devices=devices)


def test_devices_that_cannot_be_laid_out_are_refused_with_the_sizes_that_can(monkeypatch):
    make = jax.make_mesh

    def whole_axes_only(sizes, *arguments, **options):
        if 4 not in sizes:
            raise NotImplementedError("would split a physical axis")
        return make(sizes, *arguments, **options)

    monkeypatch.setattr(jax, "make_mesh", whole_axes_only)
    listed = "1 × 2 × 4, 1 × 4 × 2, 2 × 1 × 4, 2 × 4 × 1, 4 × 1 × 2, 4 × 2 × 1$"
    with pytest.raises(InputError, match=f"--mesh_model=2 would split an axis .* {listed}"):
        make_mesh(2, 2, 2)


def test_devices_that_cannot_be_laid_out_in_any_way_are_refused(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("one device per chip")

    monkeypatch.setattr(jax, "make_mesh", refuse)
    with pytest.raises(InputError, match=r"JAX cannot make a mesh .* one device per chip"):
        make_mesh(8)


def test_unused_devices_are_told_with_the_flag_that_uses_them():
    assert unused_devices(1, 1, 1).startswith("1 of 8 devices is used. --mesh_runs=8 spreads")
    assert unused_devices(2, 1, 2).startswith("4 of 8 devices are used.")
    assert unused_devices(2, 2, 2) == ""


def test_a_mesh_may_take_a_part_of_the_devices():
    mesh = make_mesh(2, 1, 2)
    assert mesh.shape == {"runs": 2, "batch": 1, "model": 2}
    assert list(mesh.devices.flat) == jax.devices()[:4]


def test_rows_are_spread_where_they_can_be_evenly(mesh):
    assert over_rows(mesh, 8).spec == P(("runs", "batch"))
    assert over_rows(mesh, 6).spec == P()
    assert device_rows(mesh) == mesh.shape["runs"] * mesh.shape["batch"] > 1
    assert device_rows(None) == 1


def test_replicated_arrays_are_whole_on_each_device(mesh):
    (whole,) = replicate([np.arange(3)], mesh)
    assert whole.sharding.is_fully_replicated
    assert len(whole.sharding.device_set) == mesh.size
    np.testing.assert_array_equal(replicate(np.arange(3), None), np.arange(3))


def test_place_lays_out_numbers_and_keys_from_anywhere(mesh):
    tree = {
        "kernel": np.arange(16.0, dtype=np.float32).reshape(4, 4),
        "keys": jax.random.split(jax.random.key(3), 4),
        "laid out": jax.device_put(jnp.arange(4), replicated(mesh)),
    }
    placed = place(tree, run_shardings(tree, mesh))
    for name, leaf in placed.items():
        assert leaf.sharding.spec[0] == "runs", name
        assert leaf.addressable_shards[0].data.shape[0] == 2, name
    np.testing.assert_array_equal(placed["kernel"], tree["kernel"])
    np.testing.assert_array_equal(
        jax.random.key_data(placed["keys"]), jax.random.key_data(tree["keys"])
    )


def test_load_lays_the_weights_out_and_computes_the_same(mesh):
    alone, spread = fsl_jax.load("minilm-l6"), fsl_jax.load("minilm-l6", mesh=mesh)
    for path, spec in specs(parameter_shardings(alone.params, mesh)).items():
        assert flatten(spread.params)[path].sharding.spec == spec, path
    kernel = spread.params["layers"]["mlp"]["up"]["kernel"]
    assert kernel.addressable_shards[0].data.shape == (6, 384, 768)
    tokens = np.arange(14, dtype=np.int32).reshape(2, 7) + 1000
    hidden = [
        model.apply(model.params, tokens, np.ones((2, 7), bool)).hidden for model in (alone, spread)
    ]
    np.testing.assert_allclose(hidden[0], hidden[1], rtol=1e-4, atol=1e-5)
