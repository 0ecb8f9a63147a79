import ast
import collections
import pathlib

import jax
import jax.numpy as jnp
import pytest

import fsl_jax
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.families.gpt2.model import GPT2Config
from fsl_jax.models.families.llama.config import LlamaConfig
from fsl_jax.models.families.registry import (
    FAMILIES,
    Config,
    gguf_layouts,
    initialise,
    module_of,
    parameter_shapes,
)
from fsl_jax.models.families.t5.config import T5Config

SIZES = {
    "vocab_size": 8,
    "hidden_size": 4,
    "mlp_size": 8,
    "num_layers": 1,
    "num_heads": 2,
    "max_length": 8,
}


@pytest.fixture(
    params=[
        BertConfig(**SIZES),
        GPT2Config(**SIZES),
        LlamaConfig(**SIZES, num_kv_heads=1, head_dim=2),
        T5Config(**SIZES, num_decoder_layers=3, head_dim=2),
    ],
    ids=lambda config: config.family,
)
def config(request):
    return request.param


def test_a_family_is_known_by_the_name_that_its_configs_have(tiny):
    module = module_of(tiny.config)
    assert isinstance(module, FAMILIES[tiny.config.family].module)


def test_initial_parameters_have_their_shapes_and_dtype(tiny):
    tree = jax.eval_shape(lambda: initialise(tiny.config, jax.random.key(0), jnp.bfloat16))
    assert {leaf.dtype for leaf in jax.tree.leaves(tree)} == {jnp.dtype("bfloat16")}
    assert jax.tree.map(jnp.shape, tree) == jax.tree.map(jnp.shape, tiny.params)


def test_layers_are_drawn_one_by_one(tiny):
    params = jax.jit(lambda: initialise(tiny.config, jax.random.key(0)))()
    kernels = params["layers"]["attention"]["query"]["kernel"]
    assert parameter_shapes(tiny.config)["layers/attention/query/kernel"] == kernels.shape
    assert bool(jnp.any(kernels[0] != kernels[1]))
    assert 0.01 < float(jnp.std(kernels)) < 0.03


ROOT = pathlib.Path(fsl_jax.__file__).parent
PACKAGE = "fsl_jax.models.families"

# The GGUF format's own words for tokenizers, and for ways to cut a text into words. A model of any
# family may have any of them.
ALLOWED = {"models/gguf": {"gpt2", "bert", "llama", "t5", "qwen2"}}
"""The words outside the families that are also a family's name, by folder."""


def named_families(path):
    """Return the names of families in a module's strings, and the imports from one of them."""
    names = FAMILIES.keys() | gguf_layouts().keys()
    folders = {child.name for child in (ROOT / "models" / "families").iterdir() if child.is_dir()}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and node.value in names:
            yield node.value
        elif isinstance(node, ast.Import | ast.ImportFrom):
            origin = getattr(node, "module", None)
            modules = [f"{origin}.{x.name}" if origin else x.name for x in node.names]
            for module in modules:
                if module.startswith(f"{PACKAGE}.") and module.split(".")[3] in folders:
                    yield module


def test_no_module_outside_the_families_names_one():
    modules = {str(path.relative_to(ROOT)): path for path in ROOT.rglob("*.py")}
    outside = {
        name: path for name, path in modules.items() if not name.startswith("models/families/")
    }
    assert len(outside) > 100
    named = collections.defaultdict(set)
    for name, path in outside.items():
        if words := set(named_families(path)):
            named[str(pathlib.PurePath(name).parent)] |= words
    assert named == ALLOWED


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('FAMILIES["gpt2"]', ["gpt2"]),
        ('x = config.family == "gemma3_text"', ["gemma3_text"]),
        (
            "from fsl_jax.models.families.t5.config import T5Config",
            [f"{PACKAGE}.t5.config.T5Config"],
        ),
        ("from fsl_jax.models.families import t5", [f"{PACKAGE}.t5"]),
        ("import fsl_jax.models.families.bert.model", [f"{PACKAGE}.bert.model"]),
        ("from fsl_jax.models.families.registry import FAMILIES", []),
        ('"""As bert does."""', []),
    ],
)
def test_a_family_that_is_named_is_found(tmp_path, code, found):
    path = tmp_path / "module.py"
    path.write_text(code)
    assert list(named_families(path)) == found


def test_a_config_knows_how_many_layers_a_leaf_is_stacked_for(config):
    assert isinstance(config, Config)
    stacked = {path: shape for path, shape in parameter_shapes(config).items() if "layers/" in path}
    assert stacked
    for path, shape in stacked.items():
        assert config.layers_of(path) == shape[0], path
