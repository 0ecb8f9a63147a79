"""LoRA to PEFT and back: PEFT itself is the reference."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import peft
import pytest
import torch
import transformers
from etils import epath

from fsl_jax.adapt.attach import attach
from fsl_jax.adapt.files.adapter_files import load_adapter, save_adapter
from fsl_jax.adapt.files.adapter_layout import CONFIG, RECORD
from fsl_jax.adapt.files.peft_directory import save_peft
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.peft.lora import LORA_KIND
from fsl_jax.adapt.peft.lora_config import whole_if_it_is
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError
from fsl_jax.models.families.registry import FAMILIES
from fsl_jax.models.tensors.writing import write_tensors

# This release of PEFT asks transformers for an attribute that has a new name there.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")

IDS = np.arange(12, dtype=np.int32).reshape(2, 6)
MASK = np.array([[True] * 6, [True] * 4 + [False] * 2])


def torch_model(pretrained):
    """The same weights in transformers."""
    config = pretrained.config
    sizes = {
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.mlp_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "max_position_embeddings": config.max_length,
    }
    if config.family == "bert":
        model = transformers.BertModel(transformers.BertConfig(**sizes))
    else:
        more = {"num_key_value_heads": config.num_kv_heads, "tie_word_embeddings": True}
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, **more))
    names = FAMILIES[config.family].tensor_map(config)
    leaves = {path: np.asarray(leaf) for path, leaf in flatten(pretrained.params).items()}
    state = {name: torch.tensor(tensor) for name, tensor in write_tensors(leaves, names)}
    loaded = model.load_state_dict(state, strict=False)
    assert not loaded.unexpected_keys
    assert set(loaded.missing_keys) <= {"lm_head.weight"}
    return model.eval()


def outputs_of_torch(model):
    with torch.no_grad():
        found = model(input_ids=torch.tensor(IDS), attention_mask=torch.tensor(MASK).long())
    output = found.logits if hasattr(found, "logits") else found.last_hidden_state
    return output.numpy()[MASK]


def outputs_of_ours(pretrained, params):
    output = jax.jit(pretrained.apply)(params, IDS, MASK)
    return np.asarray(output.hidden if output.logits is None else output.logits)[MASK]


def relative_error(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def trained(pretrained, method):
    """Leaves of an adapter that does something, drawn by NumPy."""
    shapes = flatten(jax.eval_shape(method.extend, pretrained.params, jax.random.key(0)))
    random = np.random.default_rng(1)
    return {
        path: random.normal(size=leaf.shape, scale=0.3).astype(np.float32)
        for path, leaf in shapes.items()
        if re.search("/lora_[ab]$", path)
    }


@pytest.mark.parametrize(
    ("family", "method", "targets"),
    [
        ("bert", LoRA(rank=3, alpha=4.5), ["query", "value"]),
        (
            "bert",
            LoRA(rank=2, alpha=4.0, targets="mlp/down$"),
            [f"encoder.layer.{number}.output.dense" for number in range(3)],
        ),
        ("llama", LoRA(rank=4, alpha=8.0), ["q_proj", "v_proj"]),
        (
            "llama",
            LoRA(rank=2, alpha=2.0, targets="^layers/"),
            ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"],
        ),
    ],
)
def test_peft_loads_what_was_saved_and_computes_the_same(tiny, tmp_path, family, method, targets):
    base = tiny(family)
    save_adapter(tmp_path / "adapter", unflatten(trained(base, method)), method, base, {})
    assert json.loads((tmp_path / "adapter" / CONFIG).read_text())["target_modules"] == targets
    plain = torch_model(base)
    expected_of_base = outputs_of_torch(plain)
    expected = outputs_of_torch(peft.PeftModel.from_pretrained(plain, str(tmp_path / "adapter")))
    found = outputs_of_ours(base, load_adapter(tmp_path / "adapter", base).params)
    assert relative_error(found, expected) < 1e-5
    assert relative_error(expected_of_base, expected) > 1e-2


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("bert", {"r": 3, "lora_alpha": 6, "target_modules": ["query", "key"]}),
        ("bert", {"r": 2, "lora_alpha": 8, "target_modules": "all-linear"}),
        ("llama", {"r": 4, "lora_alpha": 2, "target_modules": ["q_proj"], "use_rslora": True}),
        ("llama", {"r": 2, "lora_alpha": 3, "target_modules": r".*\.(up|down)_proj"}),
        (
            "llama",
            {"r": 2, "target_modules": ["v_proj", "o_proj"], "exclude_modules": ["o_proj"]},
        ),
    ],
)
def test_an_adapter_that_peft_made_computes_what_it_computes_there(
    tiny, tmp_path, family, settings, adapted_by_peft
):
    base = tiny(family)
    model = adapted_by_peft(torch_model(base), peft.LoraConfig(**settings))
    model.save_pretrained(str(tmp_path))
    adapter = load_adapter(tmp_path, base)
    assert adapter.description is None
    assert adapter.method.rank == settings["r"]
    assert relative_error(outputs_of_ours(base, adapter.params), outputs_of_torch(model)) < 1e-5
    # Saved again it is an adapter of ours, with the same leaves.
    chosen = {path for path, mine in flatten(adapter.mask).items() if mine}
    leaves = {path: leaf for path, leaf in flatten(adapter.params).items() if path in chosen}
    save_adapter(tmp_path / "again", unflatten(leaves), adapter.method, base, {})
    again = flatten(load_adapter(tmp_path / "again", base).params)
    for path in chosen:
        np.testing.assert_allclose(again[path], leaves[path], rtol=1e-6)


QUERY_1 = "layer.1.attention.self.query"
SOME = [
    (
        "bert",
        peft.LoraConfig(r=2, target_modules=r".*\.[01]\..*(query|value)|.*2\.intermediate\.dense"),
        LoRA(2, 8.0, "", "all"),
    ),
    (
        "bert",
        peft.LoraConfig(
            r=2, target_modules=["key"], exclude_modules=["layer.1.attention.self.key"]
        ),
        LoRA(2, 8.0, "", "0,2"),
    ),
    (
        "llama",
        peft.LoraConfig(r=3, target_modules=["up_proj"], layers_to_transform=1, use_dora=True),
        LoRA(3, 8.0, "", "1", dora=True),
    ),
    (
        "bert",
        # The first rank is as large as the scale asks for, so that one scale is left.
        peft.LoraConfig(
            r=2,
            lora_alpha=4,
            target_modules=["query", "key"],
            rank_pattern={QUERY_1: 4},
            alpha_pattern={QUERY_1: 8},
        ),
        LoRA(4, 8.0, ""),
    ),
    (
        "bert",
        peft.LoraConfig(
            r=2,
            lora_alpha=3,
            target_modules=["query", "pooler.dense"],
            exclude_modules=["layer.0.attention.self.query"],
            rank_pattern={QUERY_1: 4},
            alpha_pattern={"dense": 5},
        ),
        LoRA(4, 6.0, "", scaling="given"),
    ),
    (
        "llama",
        peft.LoraConfig(
            r=4,
            lora_alpha=2,
            use_dora=True,
            use_rslora=True,
            target_modules=["q_proj", "v_proj"],
            exclude_modules=r".*2\.self_attn\.v_proj",
            rank_pattern={"q_proj": 1, r"0\..*v_proj": 3},
        ),
        LoRA(4, 4.0, "", scaling="given", dora=True),
    ),
]


@pytest.mark.parametrize(("family", "config", "method"), SOME)
@pytest.mark.filterwarnings("ignore:Using Rank-Stabilized LoRA with rank_pattern:UserWarning")
def test_an_adapter_on_some_layers_goes_here_and_back(
    tiny, tmp_path, family, config, method, adapted_by_peft
):
    base = tiny(family)
    theirs = adapted_by_peft(torch_model(base), config)
    theirs.save_pretrained(str(tmp_path / "theirs"))
    expected = outputs_of_torch(theirs)
    assert relative_error(outputs_of_torch(torch_model(base)), expected) > 1e-2
    adapter = load_adapter(tmp_path / "theirs", base)
    assert dataclasses.replace(adapter.method, targets="") == method
    assert relative_error(outputs_of_ours(base, adapter.params), expected) < 1e-5
    save_peft(tmp_path / "ours", adapter.params, base, adapter.method)
    again = peft.PeftModel.from_pretrained(torch_model(base), str(tmp_path / "ours")).eval()
    assert relative_error(outputs_of_torch(again), expected) < 1e-5
    adapted = [set(each.base_model.targeted_module_names) for each in (theirs, again)]
    assert adapted[0] == adapted[1]
    loaded = load_adapter(tmp_path / "ours", base)
    assert loaded.method.scaling == "standard"
    assert relative_error(outputs_of_ours(base, loaded.params), expected) < 1e-5


def test_what_fills_up_ranks_and_layers_has_no_gradient(tiny, tmp_path, adapted_by_peft):
    family, config, _ = SOME[4]
    base = tiny(family)
    theirs = adapted_by_peft(torch_model(base), config)
    theirs.save_pretrained(str(tmp_path))
    params = load_adapter(tmp_path, base).params
    gradients = jax.grad(lambda params: jnp.square(base.apply(params, IDS, MASK).hidden).sum())
    query = jax.jit(gradients)(params)["layers"]["attention"]["query"]
    for name, filling in (
        ("lora_a", query["lora_a"][2, :, 2:]),
        ("lora_b", query["lora_b"][2, 2:]),
    ):
        assert not query[name][0].any()
        assert not filling.any()
        assert query[name][1].all()


def test_scales_that_came_with_an_adapter_are_saved_with_it_or_not_at_all(tiny, tmp_path):
    base = tiny("bert")
    method = LoRA(rank=2, alpha=4.0, targets="query$", scaling="given")
    leaves = trained(base, method)
    with pytest.raises(InputError, match="scales came with an adapter: save lora_scale too"):
        save_adapter(tmp_path / "a", unflatten(leaves), method, base, {})
    with pytest.raises(InputError, match="scaling 'given' is that of loaded adapters"):
        method.resolve(base, ())


def test_the_refusal_of_peft_names_the_kind_of_a_method_it_does_not_know(tiny, tmp_path):
    from fsl_jax.adapt.methods.bitfit import BitFit

    base = tiny("bert")
    save_adapter(tmp_path, {"embeddings": {"norm": {"bias": np.ones(16)}}}, BitFit(), base, {})
    with pytest.raises(KeyError, match="FSL_JAX_BITFIT") as raised:
        peft.PeftConfig.from_pretrained(str(tmp_path))
    assert f"`KeyError: {raised.value}`" in (tmp_path / "README.md").read_text()
    (tmp_path / RECORD).unlink()
    with pytest.raises(InputError, match=r"fsl_jax\.json is missing.*FSL_JAX_BITFIT"):
        load_adapter(tmp_path, base)


@pytest.mark.parametrize(
    ("targets", "ends"),
    [
        ("attention/output$", ["attention.output.dense"]),
        ("output$|down$", ["output.dense"]),
        ("up$|key$", ["intermediate.dense", "key"]),
    ],
)
def test_targets_are_the_shortest_ends_that_no_other_layer_has(bert, targets, ends):
    method = LoRA(rank=1, targets=targets)
    assert LORA_KIND.write(trained(bert, method), method, bert)[1]["target_modules"] == ends


@pytest.fixture
def files(llama):
    """The config and the tensors of a sound adapter."""
    method = LoRA(rank=2, alpha=4.0)
    tensors, values = LORA_KIND.write(trained(llama, method), method, llama)
    return values, tensors


def read(files, pretrained):
    return LORA_KIND.read(*files, pretrained, epath.Path("somewhere"))


def test_tensors_at_fault_are_all_listed(llama, files):
    values, tensors = files
    layer = "base_model.model.model.layers"
    tensors["base_model.model.lm_head.lora_A.weight"] = np.zeros((2, 16), np.float32)
    tensors["base_model.model.layers.1.self_attn.q_proj.lora_A.weight"] = np.zeros((2, 16))
    del tensors[f"{layer}.2.self_attn.v_proj.lora_B.weight"]
    tensors[f"{layer}.0.self_attn.v_proj.lora_A.weight"] = np.zeros((3, 16), np.float32)
    values["target_modules"].append("up_proj")
    with pytest.raises(InputError) as error:
        read(files, llama)
    assert [line.strip(" -") for line in str(error.value).splitlines()[1:]] == [
        "not known: base_model.model.lm_head.lora_A.weight",
        "duplicate: base_model.model.layers.1.self_attn.q_proj.lora_A.weight is there under "
        "another name too",
        f"wrong shape: {layer}.0.self_attn.v_proj.lora_A.weight is [3, 16], expected [2, 16]",
        f"missing: {layer}.2.self_attn.v_proj.lora_B.weight",
        *(
            f"missing: {layer}.{number}.mlp.up_proj.lora_{part}.weight"
            for number in range(3)
            for part in "AB"
        ),
    ]


def test_an_adapter_on_a_part_of_the_layers_or_on_none_is_refused(llama, files):
    values, tensors = files
    first = {name: tensor for name, tensor in tensors.items() if ".layers.0." in name}
    with pytest.raises(InputError, match=r"(?s)LoRA on linear layers:.*missing: .*layers\.1\."):
        read((values, first), llama)
    with pytest.raises(InputError, match="no layer has tensors"):
        read((values | {"target_modules": None}, {}), llama)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("peft_type", "VERA", "peft_type is 'VERA'; expected 'LORA'"),
        ("r", 0, "r is 0; expected a whole number of at least 1"),
        ("r", True, "r is True; expected"),
        ("lora_alpha", None, "lora_alpha is None; expected a number above 0"),
        ("bias", "all", "bias is 'all', which is not supported"),
        ("modules_to_save", ["up_proj"], r"missing: layers\.0\.mlp\.up_proj\.weight, of a module"),
        ("modules_to_save", "norm", "modules_to_save is 'norm'; expected names of modules"),
        ("rank_pattern", {"q_proj": 4}, r"q_proj.lora_A.weight is \[2, 16\], expected \[4, 16\]"),
        ("rank_pattern", {"q_proj": 0}, "rank_pattern is .*; expected whole numbers of at least 1"),
        ("rank_pattern", {"k_proj": 2}, "rank_pattern has 'k_proj', which fits no layer that is"),
        ("alpha_pattern", {"up": 2.5}, "alpha_pattern has 'up', which fits no layer that is"),
        ("alpha_pattern", {"(": 2}, r"alpha_pattern has '\(', which is no regular expression"),
        ("alpha_pattern", [2], r"alpha_pattern is \[2\]; expected numbers above 0 by names"),
        (
            "layers_to_transform",
            ["0"],
            r"layers_to_transform is \['0'\]; expected numbers of layers",
        ),
        ("layers_to_transform", [1, 3], r"has \[3\]; the layers are numbered from 0 to 2"),
        ("layers_to_transform", 1, r"not known: .*layers\.0.*, of a layer that is left out"),
        ("target_modules", "q_proj", "target_modules 'q_proj' name no layer that"),
        ("target_modules", r".*\.q_proj", r"not known: .*v_proj.*, of a layer that is left out"),
        ("target_modules", [1], r"target_modules is \[1\]; expected names"),
        (
            "exclude_modules",
            ["0.self_attn.q_proj"],
            r"not known: .*0\.self_attn\.q_proj.* left out",
        ),
        ("exclude_modules", "*", r"exclude_modules has '\*', which is no regular expression"),
        ("layers_pattern", "[", r"layers_pattern has '\[', which is no regular expression"),
        ("lora_bias", True, "lora_bias is True, which is not supported"),
        ("trainable_token_indices", [3], "trainable_token_indices is .* not supported"),
        ("a_later_invention", {"on": 1}, "a_later_invention is .* not supported"),
        ("init_lora_weights", "pissa", "init_lora_weights is 'pissa', which changes the base"),
    ],
)
def test_more_than_plain_lora_is_refused_by_name(llama, files, field, value, message):
    values, tensors = files
    with pytest.raises(InputError, match=message):
        read((values | {field: value}, tensors), llama)


@pytest.mark.parametrize("start", [None, False, "gaussian", "eva", "orthogonal"])
def test_a_start_that_leaves_the_base_as_it_was_is_read(llama, files, start):
    values, tensors = files
    # What PEFT converted to a plain LoRA keeps the config of its start.
    starts = {"corda_config": {"corda_method": "ipm"}, "lora_ga_config": {"direction": "ArB2r"}}
    method, _ = read((values | starts | {"init_lora_weights": start}, tensors), llama)
    assert method.rank == 2


def test_a_whole_alpha_may_be_an_integer():
    assert [whole_if_it_is(16), whole_if_it_is(16.0), whole_if_it_is(2.5)] == [16, 16, 2.5]


@pytest.mark.parametrize(("alpha", "written"), [(16.0, "16"), (2.5, "2.5")])
def test_alpha_is_written_as_peft_writes_it(llama, tmp_path, alpha, written):
    params, _ = attach(llama.params, LoRA(2, alpha), jax.random.key(0))
    save_peft(tmp_path, params, llama, LoRA(2, alpha))
    assert f'"lora_alpha": {written},' in (tmp_path / CONFIG).read_text()
    assert load_adapter(tmp_path, llama).method.alpha == alpha


def test_every_field_that_peft_writes_is_known(tiny, tmp_path):
    model = peft.get_peft_model(torch_model(tiny("bert")), peft.LoraConfig(target_modules=["key"]))
    model.save_pretrained(str(tmp_path))
    values = json.loads((tmp_path / CONFIG).read_text())
    values |= {"fan_in_fan_out": True, "lora_dropout": 0.5, "revision": "main"}
    (tmp_path / CONFIG).write_text(json.dumps(values))
    assert load_adapter(tmp_path, tiny("bert")).method.targets == "^(layers/attention/key)$"


def test_faults_of_the_config_and_of_tensors_are_told_together(
    llama, files, require_faults_together
):
    require_faults_together(read, files, llama)
