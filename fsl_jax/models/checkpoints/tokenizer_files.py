"""Build the tokenizer of a Hugging Face directory, with the settings that its files hold.

The tokenizer is the one of transformers' `AutoTokenizer`. That class imports PyTorch, so its rule
for choosing the class of the tokenizer is written here once more; transformers does the rest.
Nothing is fetched, and no code that comes with a model is run.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsl_jax.errors import InputError
from fsl_jax.files import read_bounded, require_bounded
from fsl_jax.json_reader import MAX_BYTES, parse_json, read_json
from fsl_jax.models.tokenizing import refusing_errors

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from fsl_jax.models.families.family import Family

TOKENIZER, CONFIG = "tokenizer.json", "tokenizer_config.json"
FILES = ("tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja")
"""Patterns for the names of the files that say how texts become tokens."""

_SETTINGS_BYTES = 16 << 20
"""The largest file of settings; one that lists all tokens of Gemma 3 takes a tenth of it."""

_NO_LIMIT = re.compile(rb'("model_max_length"\s*:\s*)\d{19,}')
"""A `model_max_length` that stands for no limit, as transformers writes it; it needs more than 64
bits."""

_FROM_FILE = "PreTrainedTokenizerFast"
"""The class of transformers that takes `tokenizer.json` as it is."""

# Settings that make transformers read other files than those of the directory.
_REFUSED = ("gguf_file", "tokenizer_object")


def read_tokenizer(
    directory: Path, family: "Family", values: Mapping[str, Any]
) -> "PreTrainedTokenizerFast":
    """Build the tokenizer of a directory as transformers' `AutoTokenizer` does.

    Args:
      directory: a directory with `tokenizer.json`, and perhaps with `tokenizer_config.json`,
        `special_tokens_map.json` and `added_tokens.json`.
      family: the model's family.
      values: the values of `config.json`.

    Returns:
      The tokenizer.

    Raises:
      InputError: a file is damaged, or the tokenizer cannot be built from the files.
    """
    settings = _read_settings(directory)
    name = _class_name(directory, family, values, settings)
    with refusing_errors(
        f"{directory / TOKENIZER}: not a valid tokenizer for the class {name}, with the settings "
        "in the files beside it",
        "Fetch these files again.",
    ):
        tokenizer = _class(name).from_pretrained(str(directory), local_files_only=True)
        # Some settings of the wrong kind fail only here.
        tokenizer.decode(tokenizer("a")["input_ids"])
    if not tokenizer.is_fast:
        raise InputError(
            f"{directory / CONFIG}: tokenizer_class is {name}, which is written in Python. Only "
            "tokenizers of the fast kind are read."
        )
    # A setting of null says that there is no such token.
    unnamed = {role: token for role, token in family.special_tokens.items() if role not in settings}
    _name_special_tokens(tokenizer, unnamed)
    return tokenizer


def _read_settings(directory: Path) -> dict[str, Any]:
    """Return `tokenizer_config.json`, empty if it is missing, and check the other files."""
    for name in ("special_tokens_map.json", "added_tokens.json"):
        if (directory / name).exists():
            read_json(directory / name, max_bytes=_SETTINGS_BYTES)
    path = directory / CONFIG
    data = read_bounded(path, _SETTINGS_BYTES) if path.exists() else b"{}"
    settings: dict[str, Any] = parse_json(_NO_LIMIT.sub(rb"\g<1>0", data), path)
    if refused := [name for name in _REFUSED if settings.get(name) is not None]:
        raise InputError(f"{path}: {refused[0]} names something outside these files. Remove it.")
    require_bounded(directory / TOKENIZER, MAX_BYTES)
    templates = directory.glob("additional_chat_templates/*.jinja")
    for template in (directory / "chat_template.jinja", *templates):
        if template.exists():
            require_bounded(template, _SETTINGS_BYTES)
    _check_other_names(directory, settings)
    return settings


def _check_other_names(directory: Path, settings: Mapping[str, Any]) -> None:
    """Check the files that hold the tokenizer for other releases of transformers."""
    path = directory / CONFIG
    others = settings.get("fast_tokenizer_files") or []
    if not isinstance(others, list) or not all(isinstance(other, str) for other in others):
        raise InputError(f"{path}: fast_tokenizer_files is {others!r}, expected a list of names.")
    for other in others:
        if Path(other).name != other:
            raise InputError(f"{path}: {other!r} in fast_tokenizer_files is no file's name.")
        if (directory / other).exists():
            require_bounded(directory / other, MAX_BYTES)


def _class_name(
    directory: Path, family: "Family", values: Mapping[str, Any], settings: Mapping[str, Any]
) -> str:
    """Return the name of the tokenizer's class by the rule of `AutoTokenizer`."""
    declared = settings.get("tokenizer_class") or values.get("tokenizer_class")
    if declared is not None and not isinstance(declared, str):
        raise InputError(f"{directory / CONFIG}: tokenizer_class is {declared!r}, not a name.")
    usual = family.tokenizer_class
    code = settings.get("auto_map")
    if (code.get("AutoTokenizer") if isinstance(code, dict) else code) is not None:
        return _without_own_code(directory, declared, usual)
    if declared is None:
        return usual or _FROM_FILE
    if family.overrides_tokenizer_class:
        return usual
    is_llama = declared.removesuffix("Fast") == "LlamaTokenizer"
    if is_llama and usual != _FROM_FILE and b'"ByteLevel"' in _contents(directory):
        # Many checkpoints with a byte-level tokenizer name Llama's class by mistake.
        return _FROM_FILE
    # A family whose tokenizers are of no class of their own passes over the declared one.
    return declared if usual != _FROM_FILE and _class_or_none(declared) else _FROM_FILE


def _without_own_code(directory: Path, declared: str | None, usual: str) -> str:
    """Return the class of a tokenizer that comes with its own code, which is never run."""
    if declared is not None and _class_or_none(declared) is not None:
        return declared
    if not usual:
        raise InputError(
            f"{directory / CONFIG}: auto_map names code for the tokenizer, which is never run. "
            "Save the tokenizer as a PreTrainedTokenizerFast."
        )
    return usual if declared is None else _FROM_FILE


def _contents(directory: Path) -> bytes:
    return read_bounded(directory / TOKENIZER, MAX_BYTES)


def _class_or_none(name: str) -> Any:
    """Return the class of transformers with this name, if it is one of a tokenizer."""
    # Import here: it takes most of a second, and models without files do not need it.
    import transformers

    # Other names would import models, and PyTorch with them.
    if "Tokenizer" not in name or name.startswith("Auto"):
        return None
    for known in (name, name.removesuffix("Fast")):
        value = getattr(transformers, known, None)
        if isinstance(value, type) and issubclass(value, transformers.PreTrainedTokenizerBase):
            # The common base of tokenizers in Python stands for no class.
            return None if value is transformers.PreTrainedTokenizer else value
    return None


def _class(name: str) -> Any:
    return _class_or_none(name) or _class_or_none(_FROM_FILE)


def _name_special_tokens(tokenizer: Any, special_tokens: Mapping[str, str]) -> None:
    """Name the special tokens of an early checkpoint, which only Hugging Face's code names."""
    number_of = tokenizer.backend_tokenizer.token_to_id
    for role, token in special_tokens.items():
        if getattr(tokenizer, role) is None and number_of(token) is not None:
            setattr(tokenizer, role, token)
