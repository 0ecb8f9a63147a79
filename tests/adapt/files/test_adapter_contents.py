"""Changed bits in an adapter, changed files of its base, and damaged adapters."""

import dataclasses
import hashlib
import json
import random
import re

import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt.files.adapter_contents import base_problems
from fsl_jax.adapt.files.adapter_files import load_adapter, save_adapter
from fsl_jax.adapt.files.adapter_layout import CARD, CONFIG, HEAD, RECORD, TENSORS
from fsl_jax.adapt.files.adapter_record import read_record
from fsl_jax.adapt.methods.linear_probe import LinearProbe
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.methods.p_tuning import PTuning
from fsl_jax.errors import InputError
from fsl_jax.json_reader import parse_json
from fsl_jax.sealed_json import decode_sealed, write_sealed
from tests.plugins.fuzzing import CASES, read_damaged

LORA = LoRA(rank=1, targets="query$")
DESCRIPTION = {"name": "head", "labels": ["bad", "good"], "max_length": 16, "pooling": "mean"}
BASE_FILES = {"config.json": "12" * 32, "tokenizer.json": "34" * 32}


@pytest.fixture
def base(bert):
    """A tiny base whose config and tokenizer have hashes."""
    return dataclasses.replace(bert, file_hashes=BASE_FILES)


@pytest.fixture
def save(base, tmp_path):
    """Saves a small adapter with a task head, and returns its directory."""

    def save_it(method):
        draw = np.random.default_rng(0).normal
        leaves = {"head": {"kernel": jnp.ones((16, 2)), "bias": jnp.ones(2)}}
        if method == LORA:
            query = {"lora_a": draw(size=(3, 16, 1)), "lora_b": draw(size=(3, 1, 16))}
            leaves["layers"] = {"attention": {"query": query}}
        save_adapter(tmp_path / "a", leaves, method, base, DESCRIPTION)
        return tmp_path / "a"

    return save_it


@pytest.fixture
def adapter(save):
    """The directory of a low-rank adapter."""
    return save(LORA)


def flipped_bits(data, share):
    """Yield a file's contents with one bit flipped, for one bit of each group of neighbours."""
    draw = random.Random(0)
    for start in range(0, 8 * len(data), share):
        bit = min(start + draw.randrange(share), 8 * len(data) - 1)
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


@pytest.mark.parametrize(
    ("method", "share"),
    [
        (LinearProbe(), 10),
        pytest.param(LinearProbe(), 1, marks=pytest.mark.soak),
        pytest.param(LORA, 1, marks=pytest.mark.soak),
    ],
)
def test_every_changed_bit_is_noticed_and_its_file_is_named(save, base, method, share):
    directory = save(method)
    load_adapter(directory, base)
    for name in (CONFIG, TENSORS, HEAD, RECORD):
        intact = (directory / name).read_bytes()
        for changed in flipped_bits(intact, share):
            (directory / name).write_bytes(changed)
            with pytest.raises(InputError, match=re.escape(name)):
                load_adapter(directory, base)
        (directory / name).write_bytes(intact)
    load_adapter(directory, base)


def test_the_card_is_for_people_and_may_change(adapter, base):
    (adapter / CARD).write_text("Trained on Tuesday.")
    load_adapter(adapter, base)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config.json": "99" * 32}, "config.json of .* SHA-256 is 99.*, expected 12.* old file"),
        ({"tokenizer.json": "99" * 32}, "tokenizer.json of .* SHA-256 is 99.*, expected 34"),
        ({"added_tokens.json": "99" * 32}, r"added_tokens.json of .*, expected \(no such file\)"),
    ],
)
def test_a_changed_file_of_the_base_is_named(adapter, base, changes, message):
    other = dataclasses.replace(base, file_hashes=BASE_FILES | changes)
    with pytest.raises(InputError, match=message) as error:
        load_adapter(adapter, other)
    assert len(error.value.problems) == 1


def test_a_missing_file_of_the_base_is_named(adapter, base):
    other = dataclasses.replace(base, file_hashes={"config.json": "12" * 32})
    with pytest.raises(InputError, match=r"tokenizer.json of .* is \(no such file\), expected 34"):
        load_adapter(adapter, other)


def test_other_weights_are_told_alone(adapter, base):
    other = dataclasses.replace(base, sha256="99" * 32, file_hashes={})
    (problem,) = base_problems(read_record(adapter / RECORD), other)
    assert "weights have the SHA-256" in problem


def as_earlier_versions_saved(adapter):
    values = decode_sealed((adapter / RECORD).read_bytes(), adapter / RECORD, "")
    del values["base_files"], values["sha256"][CONFIG]
    (adapter / RECORD).write_text(json.dumps(values, indent=2) + "\n")


def test_an_adapter_of_an_earlier_version_loads_with_any_config_of_the_same_weights(adapter, base):
    as_earlier_versions_saved(adapter)
    load_adapter(adapter, base)
    load_adapter(adapter, dataclasses.replace(base, file_hashes={"config.json": "99" * 32}))


@pytest.mark.parametrize("name", [CONFIG, TENSORS, HEAD])
@pytest.mark.parametrize("target", ["../outside", "/dev/zero"])
def test_files_outside_the_directory_are_not_read(adapter, base, name, target):
    (adapter.parent / "outside").write_bytes((adapter / name).read_bytes())
    (adapter / name).unlink()
    (adapter / name).symlink_to(target)
    with pytest.raises(InputError, match=f"{re.escape(name)}: a link that leads out"):
        load_adapter(adapter, base)


def test_tensors_far_larger_than_the_base_are_not_read(adapter, base):
    with (adapter / TENSORS).open("r+b") as file:
        file.truncate(1 << 33)
    with pytest.raises(InputError, match=r"8,589,934,592 bytes, and at most \d\d,\d+,\d+ are read"):
        load_adapter(adapter, base)


def test_settings_that_only_train_cannot_make_loading_slow(base, bert, tmp_path):
    word = {"prompt": jnp.ones((2, 16))}
    save_adapter(tmp_path, {"embeddings": {"word": word}}, PTuning(length=2), base, {})
    values = decode_sealed((tmp_path / RECORD).read_bytes(), tmp_path / RECORD, "")
    write_sealed(
        tmp_path / RECORD, values | {"method": f"p_tuning(length=2, hidden={2**20}, depth=1024)"}
    )
    assert load_adapter(tmp_path, base).method == PTuning(length=2, hidden=2**20, depth=1024)


@pytest.mark.parametrize("name", [RECORD, CONFIG, TENSORS, HEAD])
@pytest.mark.parametrize("cases", [CASES // 20, pytest.param(5000, marks=pytest.mark.soak)])
def test_files_of_a_stranger_are_read_or_refused(adapter, base, name, cases):
    """Damages a file and then puts its hash into the record, as a stranger could."""
    values = decode_sealed((adapter / RECORD).read_bytes(), adapter / RECORD, "")

    def read(data):
        if name == RECORD:
            try:
                write_sealed(adapter / RECORD, parse_json(data, RECORD))
            except ValueError:
                return
        else:
            (adapter / name).write_bytes(data)
            hashes = values["sha256"] | {name: hashlib.sha256(data).hexdigest()}
            write_sealed(adapter / RECORD, values | {"sha256": hashes})
        load_adapter(adapter, base)

    seed = json.dumps(values).encode() if name == RECORD else (adapter / name).read_bytes()
    read_damaged(read, [seed], cases)
