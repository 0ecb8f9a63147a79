"""The hashes of the files in a model's directory that decide what its weights compute.

The same weights give other outputs with another config or tokenizer. So adapters and studies keep
these hashes beside the hash of the weights.
"""

from pathlib import Path

from fsl_jax.files import is_plain_file, sha256

_INDEX = "model.safetensors.index.json"
_TOKENIZER = "tokenizer.json"

# Patterns for the files that are read whenever they are there.
_READ: tuple[str, ...] = (
    "config.json",
    "generation_config.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "additional_chat_templates/*.jinja",
)
# Patterns for vocabularies, which are only read in place of `tokenizer.json`.
_VOCABULARIES = ("vocab.txt", "vocab.json", "merges.txt", "*.model", "tekken.json")


def file_hashes(directory: Path) -> dict[str, str]:
    """Hash the config and the tokenizer's files in a model's directory.

    Call it before these files are read.

    Args:
      directory: a directory that a Hugging Face model was saved to.

    Returns:
      The SHA-256 of each file in hex, by its path in the directory with `/`, in alphabetical order.
      Files that do not change the model are left out, and so are the weights.
    """
    patterns = _READ
    if not (directory / _TOKENIZER).is_file():
        patterns += _VOCABULARIES
    if not (directory / "model.safetensors").is_file():
        patterns += (_INDEX,)
    paths = {path for pattern in patterns for path in directory.glob(pattern)}
    names = {path.relative_to(directory).as_posix(): path for path in paths if is_plain_file(path)}
    return {name: sha256(names[name]) for name in sorted(names)}
