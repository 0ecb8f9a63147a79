"""Adapters as directories: whole or not at all, and read strictly."""

import dataclasses
import errno
import json
import os
import re
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from fsl_jax.adapt.files.adapter_files import load_adapter, save_adapter
from fsl_jax.adapt.files.adapter_layout import CARD, CONFIG, HEAD, RECORD, TENSORS
from fsl_jax.adapt.methods.adalora import AdaLoRA
from fsl_jax.adapt.methods.bitfit import BitFit
from fsl_jax.adapt.methods.full import Full
from fsl_jax.adapt.methods.linear_probe import LinearProbe
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.methods.top_layers import TopLayers
from fsl_jax.adapt.methods.vera import VeRA
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError
from tests.plugins.adapter_records import edit_config, edit_record, list_again

DESCRIPTION = {"name": "head", "labels": ["bad", "good"], "max_length": 16, "pooling": "mean"}
UNREAD = ("pooler/",)


def trained_leaves(pretrained, method, labels=2):
    """Return leaves as training leaves them: each moved a little, and a head."""
    params = pretrained.params
    if labels:
        head = {"kernel": jnp.zeros((16, labels)), "bias": jnp.zeros(labels)}
        params = params | {"head": head}
    extended = flatten(jax.eval_shape(method.extend, params, jax.random.key(0)))
    random = np.random.default_rng(2)
    return unflatten(
        {
            path: random.normal(size=leaf.shape).astype(np.float32)
            for path, leaf in extended.items()
            if any(re.search(rule, path) for rule in (*method.rules, "^head/"))
            and not path.startswith(UNREAD)
        }
    )


@pytest.mark.parametrize("family", ["bert", "llama", "gpt2"])
@pytest.mark.parametrize(
    "method", [LoRA(rank=3, alpha=6.0), TopLayers(2), BitFit(), LinearProbe(), Full()]
)
def test_what_is_saved_is_loaded_into_the_whole_tree(tiny, tmp_path, family, method):
    if family == "llama" and isinstance(method, BitFit):
        method = LoRA(rank=1, targets="down$")
    if family == "gpt2" and isinstance(method, LoRA):
        method = LoRA(rank=3, alpha=6.0, targets="mlp/")
    base = tiny(family)
    leaves = trained_leaves(base, method)
    save_adapter(tmp_path / "adapter", leaves, method, base, DESCRIPTION)
    adapter = load_adapter(tmp_path / "adapter", base)
    assert (adapter.method, adapter.description) == (method, DESCRIPTION)
    extended = flatten(method.extend(base.params, jax.random.key(0)))
    mine = flatten(leaves)
    params, mask = flatten(adapter.params), flatten(adapter.mask)
    assert params.keys() == extended.keys() | mine.keys() == mask.keys()
    for path, leaf in params.items():
        setting = path.endswith("lora_scale")
        expected = mine[path] if path in mine else extended[path]
        np.testing.assert_array_equal(leaf, expected, err_msg=path)
        assert mask[path] == (path in mine or setting)


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        (LoRA(rank=2, dora=True), "LORA"),
        (AdaLoRA(), "ADALORA"),
        (VeRA(rank=2), "VERA"),
        (LoRA(rank=2), "LORA"),
        (LoRA(rank=2, dora=True, targets="attention/output$|mlp/"), "LORA"),
    ],
)
def test_parts_of_a_layer_of_pefts_have_its_format(tiny, tmp_path, method, kind):
    base = tiny("gpt2")
    save_adapter(tmp_path / "a", trained_leaves(base, method), method, base, DESCRIPTION)
    assert json.loads((tmp_path / "a" / CONFIG).read_text())["peft_type"] == kind


def test_the_files_say_what_they_are(bert, tmp_path):
    save_adapter(tmp_path / "a", trained_leaves(bert, BitFit()), BitFit(), bert, DESCRIPTION)
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert names == {CARD, CONFIG, TENSORS, HEAD, RECORD}
    assert json.loads((tmp_path / "a" / CONFIG).read_text()) == {
        "peft_type": "FSL_JAX_BITFIT",
        "task_type": "FEATURE_EXTRACTION",
        "base_model_name_or_path": "tiny-bert",
    }
    record = json.loads((tmp_path / "a" / RECORD).read_text())
    assert record["method"] == "bitfit"
    assert record["base_model"] == {"name": "tiny-bert", "sha256": bert.sha256}
    assert record["trained"]["head/bias"] == [2]
    assert record["versions"]["jax"] == jax.__version__
    assert set(record["sha256"]) == {CONFIG, TENSORS, HEAD}
    assert set(safetensors.numpy.load_file(tmp_path / "a" / HEAD)) == {"head/bias", "head/kernel"}


def test_settings_may_be_among_the_leaves(llama, tmp_path):
    method = LoRA(rank=2)
    leaves = flatten(trained_leaves(llama, method, labels=0))
    scales = {"layers/attention/query/lora_scale": np.full(3, 8.0, np.float32)}
    save_adapter(tmp_path / "with", unflatten(leaves | scales), method, llama, {})
    save_adapter(tmp_path / "without", unflatten(leaves), method, llama, {})
    for name in (CONFIG, TENSORS, RECORD):
        assert (tmp_path / "with" / name).read_bytes() == (tmp_path / "without" / name).read_bytes()


def test_saving_again_replaces(bert, tmp_path):
    save_adapter(tmp_path / "a", trained_leaves(bert, BitFit()), BitFit(), bert, DESCRIPTION)
    method = TopLayers(1)
    save_adapter(tmp_path / "a", trained_leaves(bert, method, labels=0), method, bert, DESCRIPTION)
    assert load_adapter(tmp_path / "a", bert).method == method
    assert not (tmp_path / "a" / HEAD).exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_full_disk_raises_and_leaves_what_was_there(bert, tmp_path, monkeypatch):
    save_adapter(tmp_path / "a", trained_leaves(bert, BitFit()), BitFit(), bert, DESCRIPTION)

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    method = TopLayers(1)
    leaves = trained_leaves(bert, method)
    for name in ("a", "b"):
        with pytest.raises(OSError, match="No space left"):
            save_adapter(tmp_path / name, leaves, method, bert, DESCRIPTION)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert load_adapter(tmp_path / "a", bert).method == BitFit()


def drop(name):
    return lambda directory: (directory / name).unlink()


def flip(name):
    def damage(directory):
        data = bytearray((directory / name).read_bytes())
        data[-1] ^= 1
        (directory / name).write_bytes(data)

    return damage


def edit(**changes):
    return lambda directory: edit_record(directory, **changes)


def edit_peft(**changes):
    return lambda directory: edit_config(directory, **changes)


def write(name, content):
    return lambda directory: (directory / name).write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            [drop(TENSORS), flip(HEAD)],
            r"(?s)adapter_model.*: missing.*head.*: damaged; its SHA-256",
        ),
        ([drop(TENSORS), write("adapter_model.bin", b"")], "is pickled and never read"),
        (
            [drop(CONFIG), drop(HEAD)],
            r"(?s)adapter_config.json: missing.*head.safetensors: missing",
        ),
        ([flip(TENSORS)], "adapter_model.safetensors: damaged"),
        ([drop(RECORD)], "fsl_jax.json: missing"),
        ([write(RECORD, b"{")], "fsl_jax.json: not valid JSON"),
        ([write(CONFIG, b"\xff")], "adapter_config.json: damaged; its SHA-256"),
        (
            [write(CONFIG, b"\xff"), drop(RECORD), drop(HEAD)],
            "adapter_config.json: not valid JSON",
        ),
        (
            [write(CONFIG, b"[]"), drop(RECORD), drop(HEAD)],
            "adapter_config.json: expected an object in JSON",
        ),
        (
            [edit(method=3, trained=None)],
            r"(?s)not as they were.*- method: expected a text, found 3\n.*- trained: expected",
        ),
        ([edit(base_model={})], r"(?s)base_model.name: missing\n.*base_model.sha256: miss"),
        ([edit(method="lorra")], "unknown method 'lorra'"),
        ([edit_peft(r=4)], "wrong shape: .* expected"),
        ([edit(method="lora(rank=2, targets='key$')")], r"(?s)missing: .*key.*not known"),
        ([edit(trained={"x": [1]})], r"(?s)missing: x.*not known: head/bias"),
        ([edit(sha256={})], r"head.safetensors: fsl_jax.json does not list it"),
    ],
)
def test_damage_is_noticed_and_named(bert, tmp_path, damage, message):
    method = LoRA(rank=2)
    save_adapter(tmp_path, trained_leaves(bert, method), method, bert, DESCRIPTION)
    for change in damage:
        change(tmp_path)
    with pytest.raises(InputError, match=message):
        load_adapter(tmp_path, bert)


def test_every_file_cut_short_at_any_place_is_an_error(bert, tmp_path):
    save_adapter(tmp_path, trained_leaves(bert, BitFit()), BitFit(), bert, DESCRIPTION)
    for name in (CONFIG, TENSORS, HEAD, RECORD):
        whole = (tmp_path / name).read_bytes()
        for length in (0, 7, len(whole) // 2, len(whole) - 2):
            (tmp_path / name).write_bytes(whole[:length])
            with pytest.raises(InputError, match=re.escape(name)):
                load_adapter(tmp_path, bert)
        (tmp_path / name).write_bytes(whole)
    load_adapter(tmp_path, bert)


def test_another_base_is_refused_by_both_hashes(bert, tmp_path):
    save_adapter(tmp_path, trained_leaves(bert, BitFit()), BitFit(), bert, DESCRIPTION)
    other = dataclasses.replace(bert, name="other-bert", sha256="cd" * 32)
    with pytest.raises(InputError, match=f"tiny-bert.*{'ab' * 32}, and other-bert has {'cd' * 32}"):
        load_adapter(tmp_path, other)


def test_a_base_of_another_size_shows_every_leaf_that_does_not_fit(bert, tmp_path):
    method = TopLayers(1)
    save_adapter(tmp_path, trained_leaves(bert, method), method, bert, DESCRIPTION)
    narrow = unflatten({path: leaf[..., :8] for path, leaf in flatten(bert.params).items()})
    with pytest.raises(InputError) as error:
        load_adapter(tmp_path, dataclasses.replace(bert, params=narrow))
    assert str(error.value).count("wrong shape: top_layers/") == 16


def test_a_directory_that_is_not_there_is_named(bert, tmp_path):
    with pytest.raises(InputError, match="nowhere: there is no such directory"):
        load_adapter(tmp_path / "nowhere", bert)


@pytest.mark.parametrize(
    ("method", "leaves", "message"),
    [
        (LoRA(rank=2), {"head": {"bias": np.zeros(2)}}, "missing: layers/attention/query/lora_a"),
        (LinearProbe(), {}, "there are no trained leaves"),
        (BitFit(), {"pooler": {"kernel": np.zeros((16, 16))}}, "not known: pooler/kernel"),
        (BitFit(), {"pooler": {"bias": np.zeros(3)}}, r"pooler/bias is \[3\], expected \[16\]"),
    ],
)
def test_leaves_that_the_method_does_not_train_are_not_saved(
    bert, tmp_path, method, leaves, message
):
    with pytest.raises(InputError, match=message):
        save_adapter(tmp_path / "a", leaves, method, bert, {})
    assert not (tmp_path / "a").exists()


def test_half_precision_is_read_as_float32(llama, tmp_path):
    method = LoRA(rank=2)
    save_adapter(tmp_path, trained_leaves(llama, method, labels=0), method, llama, {})
    (tmp_path / RECORD).unlink()
    tensors = safetensors.numpy.load_file(tmp_path / TENSORS)
    halves = {name: tensor.astype(ml_dtypes.bfloat16) for name, tensor in tensors.items()}
    header, start = {}, 0
    for name, half in halves.items():
        end = start + half.nbytes
        header[name] = {"dtype": "BF16", "shape": half.shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(header).encode()
    content = (
        len(text).to_bytes(8, "little") + text + b"".join(h.tobytes() for h in halves.values())
    )
    (tmp_path / TENSORS).write_bytes(content)
    loaded = load_adapter(tmp_path, llama).params["layers"]["attention"]["query"]["lora_a"]
    assert loaded.dtype == jnp.float32
    name = "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight"
    np.testing.assert_array_equal(loaded[1].T, halves[name].astype(np.float32))


def test_tensors_that_are_no_floats_are_refused(bert, tmp_path):
    save_adapter(tmp_path, trained_leaves(bert, BitFit()), BitFit(), bert, DESCRIPTION)
    content = safetensors.numpy.save({"x": np.zeros(2, np.int32)})
    (tmp_path / TENSORS).write_bytes(content)
    (tmp_path / RECORD).unlink()
    (tmp_path / HEAD).unlink()
    with pytest.raises(InputError, match="x is I32"):
        load_adapter(tmp_path, bert)


KILLED = """
import os, signal, sys
import fsl_jax.files
import numpy as np
from fsl_jax.adapt.methods.adalora import AdaLoRA
from fsl_jax.adapt.files.adapter_files import save_adapter
from fsl_jax.adapt.methods.bitfit import BitFit
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.families.registry import module_of, parameter_shapes
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.adapt.tree import unflatten
config = BertConfig(50, 16, 32, 3, 2, 16, has_pooler=True)
params = unflatten({p: np.zeros(s, np.float32) for p, s in parameter_shapes(config).items()})
base = Pretrained("tiny-bert", config, module_of(config), params, None, "ab" * 32)
calls, fsync = 0, os.fsync
def dying(descriptor):
    global calls
    calls += 1
    if calls == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(descriptor)
os.fsync = dying
leaves = {"embeddings": {"norm": {"bias": np.ones(16, np.float32)}}}
save_adapter(sys.argv[1], leaves, BitFit(), base, {})
"""


def test_a_kill_while_saving_leaves_nothing_half_written(bert, tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "a").exists()
    assert [path.name[:10] for path in tmp_path.iterdir()] == [".staging-a"]
    save_adapter(tmp_path / "a", trained_leaves(bert, BitFit()), BitFit(), bert, DESCRIPTION)
    assert load_adapter(tmp_path / "a", bert).method == BitFit()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def smuggle(directory, name, file):
    """Adds a tensor to a file, and says so in the record's hash."""
    path = directory / file
    tensors = safetensors.numpy.load_file(path) | {name: np.zeros((2, 16), np.float32)}
    path.write_bytes(safetensors.numpy.save(tensors))
    list_again(directory, file)


@pytest.mark.parametrize("method", [BitFit(), LoRA(rank=2)])
@pytest.mark.parametrize("file", [TENSORS, HEAD])
def test_each_fault_is_told_once_beside_that_of_the_base(bert, tmp_path, method, file):
    save_adapter(tmp_path, trained_leaves(bert, method), method, bert, DESCRIPTION)
    smuggle(tmp_path, "embeddings/word/embedding", file)
    unknown = "not known: embeddings/word/embedding"
    with pytest.raises(InputError) as error:
        load_adapter(tmp_path, bert)
    assert error.value.problems == (unknown,)
    with pytest.raises(InputError) as error:
        load_adapter(tmp_path, dataclasses.replace(bert, name="other-bert", sha256="cd" * 32))
    other, second = error.value.problems
    assert re.search(f"{'ab' * 32}, and other-bert has {'cd' * 32}", other)
    assert second == unknown


def test_a_setting_in_the_file_of_the_head_is_not_taken(bert, tmp_path):
    method = LoRA(rank=2)
    save_adapter(tmp_path, trained_leaves(bert, method), method, bert, DESCRIPTION)
    smuggle(tmp_path, "layers/attention/query/lora_scale", HEAD)
    with pytest.raises(InputError) as error:
        load_adapter(tmp_path, bert)
    assert error.value.problems == ("not known: layers/attention/query/lora_scale",)


def test_a_method_that_does_not_fit_another_base_is_told_beside_its_hash(bert, tmp_path):
    method = TopLayers(2)
    save_adapter(tmp_path, trained_leaves(bert, method), method, bert, DESCRIPTION)
    edit_record(tmp_path, method="top_layers(k=99)")
    with pytest.raises(InputError) as error:
        load_adapter(tmp_path, dataclasses.replace(bert, sha256="cd" * 32))
    assert len(error.value.problems) == 2
    assert "99" in error.value.problems[1]


@pytest.mark.parametrize(("kind", "found"), [("LOHA", "'LOHA'"), (None, "None")])
def test_a_kind_that_is_not_here_is_told_from_those_that_are(bert, tmp_path, kind, found):
    method = LoRA(rank=2)
    save_adapter(tmp_path, trained_leaves(bert, method), method, bert, DESCRIPTION)
    (tmp_path / RECORD).unlink()
    (tmp_path / HEAD).unlink()
    edit_config(tmp_path, peft_type=kind)
    message = (
        f"{re.escape(str(tmp_path))}: .* peft_type {found}, which cannot be read here.*ADALORA"
    )
    with pytest.raises(InputError, match=message):
        load_adapter(tmp_path, bert)
