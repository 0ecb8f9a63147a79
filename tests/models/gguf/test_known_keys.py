"""Each key of llama.cpp is read, known to be harmless, or refused by name."""

import pytest
from gguf.constants import Keys
from tiny_gguf import KINDS, metadata_of, shapes_for_config

from fsl_jax.errors import InputError
from fsl_jax.models.families.registry import gguf_layouts
from fsl_jax.models.gguf.known_keys import HARMLESS, NEUTRAL

# None of these is a value with which any key changes nothing.
TELLING = (3, 0.37, "other", [5, 5])
# The others have the same readers as these.
SOME_KINDS = ("llama", "mistral", "qwen2", "gemma2", "gemma3", "gpt2", "bert", "t5")
ROTARY = ("llama", "qwen2", "qwen3", "gemma2", "gemma3")


def keys_under(group):
    """All keys of a group of llama.cpp's constants, without the architecture's name."""
    for name, key in vars(group).items():
        if isinstance(key, type):
            yield from keys_under(key)
        elif not name.startswith("_") and key.startswith("{arch}."):
            yield key.removeprefix("{arch}.")


KEYS = sorted({key for group in vars(Keys).values() if isinstance(group, type)
               for key in keys_under(group)})  # fmt: skip


def config_of(kind, **changes):
    metadata = metadata_of(kind)
    architecture = metadata["general.architecture"]
    metadata |= {f"{architecture}.{key}": value for key, value in changes.items()}
    return gguf_layouts()[architecture].config("model.gguf", metadata, shapes_for_config())


def effect(kind, key, value):
    """Return the effect of a value of a key."""
    try:
        return "read" if config_of(kind, **{key: value}) != config_of(kind) else "passed over"
    except InputError as error:
        return "refused" if key.rpartition(".")[2] in str(error) else "refused without its name"


@pytest.mark.parametrize("kind", SOME_KINDS)
def test_no_key_is_passed_over_that_could_change_numbers(kind):
    assert len(KEYS) > 100
    for key in [*KEYS, "rope.scale_linear", "hidden_activation", "a_new_key"]:
        effects = {effect(kind, key, value) for value in TELLING}
        assert "refused without its name" not in effects, key
        if "passed over" in effects:
            unused = key.startswith("rope.") and KINDS[kind][0] not in ROTARY
            assert key in HARMLESS or unused, key


@pytest.mark.parametrize("kind", ["llama", "gemma3", "bert", "t5"])
def test_values_that_change_nothing_are_accepted(kind):
    for key, values in NEUTRAL.items():
        if f"{KINDS[kind][0]}.{key}" in metadata_of(kind) or (kind, key) == (
            "gemma3",
            "embedding_scale",
        ):
            continue
        for value in values:
            assert config_of(kind, **{key: value}) == config_of(kind), key
    for key in HARMLESS.keys() - KINDS[kind][1].keys():
        if key not in ("context_length", "attention.layer_norm_epsilon"):
            assert config_of(kind, **{key: 3}) == config_of(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_the_direction_of_attention_that_it_was_made_for(kind):
    is_encoder = KINDS[kind][0] == "bert"
    assert config_of(kind, **{"attention.causal": not is_encoder}) == config_of(kind)
    with pytest.raises(InputError, match=rf"attention\.causal is {is_encoder}"):
        config_of(kind, **{"attention.causal": is_encoder})


def test_the_order_of_rows_is_that_of_the_architecture():
    layout = {"tensor_data_layout": "Meta AI original pth"}
    assert config_of("llama", **layout) == config_of("llama")
    with pytest.raises(InputError, match="tensor_data_layout is 'Meta AI"):
        config_of("qwen2", **layout)
