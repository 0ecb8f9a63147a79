import json

import pytest
from safetensors.numpy import load_file, save_file

import fsl_jax
from fsl_jax.errors import InputError
from fsl_jax.models.checkpoints.directory import read_directory


def change_config(directory, **values):
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_missing_files_are_listed(bert_directory):
    (bert_directory / "config.json").unlink()
    (bert_directory / "tokenizer.json").unlink()
    with pytest.raises(InputError) as error:
        read_directory(bert_directory)
    assert "config.json" in str(error.value)
    assert "tokenizer.json" in str(error.value)


@pytest.mark.parametrize(
    ("present", "advice"),
    [
        ([], "Give a directory that a Hugging Face model and its tokenizer were saved to"),
        (["model.Q4_0.gguf"], "give the path of that file"),
        (["adapter_config.json", "tokenizer.json"], "load the model that it was made for"),
        (["config.json", "vocab.txt", "model.safetensors"], "save the tokenizer there with"),
        (["bert/config.json"], "It holds directories with models: give one of those"),
    ],
)
def test_a_directory_of_another_kind_says_what_to_do(tmp_path, present, advice):
    for name in present:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=f"files are missing.*{advice}"):
        fsl_jax.load(str(tmp_path))


def test_weights_that_are_pickled_alone_are_refused_with_what_to_do(bert_directory):
    weights = bert_directory / "model.safetensors"
    weights.rename(bert_directory / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pickled, which is never loaded.* save them as safetens"):
        fsl_jax.load(str(bert_directory))


def test_an_unknown_architecture_names_the_known_ones(bert_directory):
    change_config(bert_directory, model_type="berd")
    with pytest.raises(InputError, match=r"'berd'\. Did you mean 'bert' .*Known: bert, .*, llama"):
        read_directory(bert_directory)


@pytest.mark.parametrize("name", [["bert"], True, {"bert": 1}, "bert" * 10**6])
def test_an_architecture_that_is_no_name_is_unknown(bert_directory, name):
    change_config(bert_directory, model_type=name)
    with pytest.raises(InputError, match=r"unknown architecture .*Known: bert, ") as error:
        read_directory(bert_directory)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("shape", [[], [0], [2**62, 0]])
def test_the_classes_of_a_head_without_numbers_are_not_counted(bert_directory, shape):
    """The other axes of such a tensor may be of any size."""
    path = bert_directory / "model.safetensors"
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    end = max(entry["data_offsets"][1] for name, entry in header.items() if name[0] != "_")
    numbers = 4 if shape == [] else 0
    offsets = [end, end + numbers]
    header["classifier.weight"] = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
    header["classifier.bias"] = {"dtype": "F32", "shape": [0], "data_offsets": [offsets[1]] * 2}
    text = json.dumps(header).encode()
    data = content[8 + size :] + bytes(numbers)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    change_config(bert_directory, architectures=["BertForTokenClassification"])
    with pytest.raises(InputError, match=r"wrong shape: classifier\.weight is"):
        read_directory(bert_directory, "token_classification")


def test_a_config_without_an_architecture_is_an_error_that_says_so(bert_directory):
    change_config(bert_directory, model_type=None)
    with pytest.raises(InputError, match=r"config\.json: model_type is missing.* Known: bert, "):
        read_directory(bert_directory)


def test_a_shard_that_lacks_what_the_index_says_is_in_it_is_an_error(bert_directory):
    """One that does not exist is one too; that is tested where files are opened."""
    path = bert_directory / "model.safetensors"
    tensors = load_file(path)
    path.unlink()
    names = sorted(tensors)
    homes = {name: f"model-{number % 2}.safetensors" for number, name in enumerate(names)}
    missing = names[4]
    for file in sorted(set(homes.values())):
        own = {name: tensors[name] for name in names if homes[name] == file and name != missing}
        save_file(own, bert_directory / file)
    index = bert_directory / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": homes}))
    with pytest.raises(InputError) as error:
        read_directory(bert_directory)
    assert str(error.value).splitlines()[1:] == [f"  - missing: {missing}"]


@pytest.mark.parametrize(
    ("head", "token"),
    [
        ("masked_lm", "mask_token"),
        ("sequence_classification", "cls_token"),
        ("cls_features", "cls_token"),
    ],
)
def test_a_tokenizer_without_the_tokens_that_a_head_needs_is_an_error(bert_directory, head, token):
    labels = 3 if head == "sequence_classification" else None
    with pytest.raises(InputError, match=f"the head {head} needs a tokenizer with a {token}"):
        fsl_jax.load(str(bert_directory), head=head, num_labels=labels)
    assert fsl_jax.load(str(bert_directory), head="mean_features").head == "mean_features"


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_config_that_is_none_is_an_error(bert_directory, text):
    (bert_directory / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config\.json"):
        read_directory(bert_directory)


def test_weights_that_do_not_fit_the_config_are_listed(bert_directory):
    change_config(bert_directory, num_hidden_layers=2, vocab_size=41)
    with pytest.raises(InputError) as error:
        read_directory(bert_directory)
    assert "embeddings.word_embeddings.weight is [40, 32], expected [41, 32]" in str(error.value)
    assert str(error.value).count("not known: encoder.layer.2.") == 16


def test_a_damaged_tokenizer_is_an_error(bert_directory):
    path = bert_directory / "tokenizer.json"
    path.write_text(path.read_text()[:-40])
    with pytest.raises(InputError, match=r"tokenizer\.json: not a valid tokenizer"):
        read_directory(bert_directory)


def test_special_tokens_that_the_files_do_not_name(bert_directory, special_tokenizer):
    """As in the first checkpoints of BERT, of which only the code knew what masks a token."""
    special_tokenizer.backend_tokenizer.save(str(bert_directory / "tokenizer.json"))
    values = {"tokenizer_class": "PreTrainedTokenizerFast", "cls_token": "7"}
    (bert_directory / "tokenizer_config.json").write_text(json.dumps(values))
    tokenizer = read_directory(bert_directory).tokenizer
    assert (tokenizer.pad_token_id, tokenizer.mask_token_id) == (0, 2)
    assert tokenizer.cls_token == "7"
    assert tokenizer.sep_token is None
    assert len(tokenizer) == 40
