import hashlib
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from jax.sharding import PartitionSpec

import fsl_jax
from fsl_jax.errors import InputError
from fsl_jax.sharding import make_mesh


def test_a_directory_gives_the_parameters_that_were_saved(bert_directory, tiny_bert):
    pretrained = fsl_jax.load(str(bert_directory))
    assert pretrained.config == tiny_bert.config
    jax.tree.map(np.testing.assert_array_equal, pretrained.params, tiny_bert.params)
    content = (bert_directory / "model.safetensors").read_bytes()
    assert pretrained.sha256 == hashlib.sha256(content).hexdigest()


def test_weights_and_activations_have_the_dtype_that_was_asked_for(bert_directory, tokens):
    pretrained = fsl_jax.load(str(bert_directory), dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(pretrained.params)} == {jnp.dtype("bfloat16")}
    assert pretrained.apply(pretrained.params, *tokens).hidden.dtype == jnp.bfloat16


def test_the_dtype_is_the_platforms_unless_one_is_asked_for(bert_directory, monkeypatch):
    def found():
        return fsl_jax.load(str(bert_directory)).params["embeddings"]["norm"]["scale"].dtype

    assert found() == jnp.float32
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert found() == jnp.bfloat16


def test_attention_is_the_implementation_that_was_asked_for(bert_directory, tokens, monkeypatch):
    default = fsl_jax.load(str(bert_directory))
    other = fsl_jax.load(str(bert_directory), attention="xla")
    expected = default.apply(default.params, *tokens).hidden
    called = []
    real = jax.nn.dot_product_attention

    def recorded(*arguments, **options):
        called.append(options["implementation"])
        return real(*arguments, **options)

    monkeypatch.setattr(jax.nn, "dot_product_attention", recorded)
    found = other.apply(other.params, *tokens).hidden
    assert set(called) == {"xla"}
    np.testing.assert_allclose(found, expected, atol=2e-5)
    with pytest.raises(InputError, match="written_out"):
        fsl_jax.load(str(bert_directory), attention="flash")


def test_weights_are_laid_out_on_a_mesh(bert_directory, tiny_bert, tokens):
    pretrained = fsl_jax.load(str(bert_directory), mesh=make_mesh(batch=2, model=4))
    kernel = pretrained.params["layers"]["attention"]["query"]["kernel"]
    assert kernel.sharding.spec == PartitionSpec(None, None, "model")
    assert all(len(leaf.devices()) == 8 for leaf in jax.tree.leaves(pretrained.params))
    expected = tiny_bert.apply(tiny_bert.params, *tokens).hidden
    found = pretrained.apply(pretrained.params, *tokens).hidden
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_tokenizer_may_have_more_tokens_than_the_model(bert_directory, tiny_bert, tokens):
    path = bert_directory / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["model"]["vocab"]["one more"] = 40
    path.write_text(json.dumps(tokenizer))
    pretrained = fsl_jax.load(str(bert_directory))
    assert len(pretrained.tokenizer) == 41
    jax.tree.map(np.testing.assert_array_equal, pretrained.params, tiny_bert.params)
    with pytest.raises(InputError, match="40 rows of tokens, and was given the token id 40"):
        pretrained.apply(pretrained.params, np.int32([[2, 40]]), np.ones((1, 2), bool))


def test_smollm2_in_a_truncated_file_is_an_error(tmp_path):
    source = fsl_jax.models.embedded.embedded_path("smollm2-135m")
    path = tmp_path / "cut.gguf"
    with source.open("rb") as file:
        path.write_bytes(file.read(4_000_000))
    with pytest.raises(InputError, match=r"cut\.gguf"):
        fsl_jax.load(str(path))


def test_the_embedded_models_load_with_every_leaf_finite():
    for name in ("minilm-l6", "smollm2-135m"):
        pretrained = fsl_jax.load(name)
        leaves = flatten_dict(pretrained.params, sep="/")
        assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in leaves.values())
        assert len(pretrained.tokenizer) == pretrained.config.vocab_size


def test_the_package_itself_imports_nothing_heavy():
    program = "import sys, fsl_jax; print([m for m in ('jax', 'transformers') if m in sys.modules])"
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True).stdout.strip() == "[]"


def test_an_unknown_attribute_of_the_package_is_an_error():
    with pytest.raises(AttributeError, match="lode"):
        _ = fsl_jax.lode
