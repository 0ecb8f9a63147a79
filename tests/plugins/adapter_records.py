"""Change the files of a saved adapter as if they had been saved so."""

import json

from fsl_jax.adapt.files.adapter_layout import CONFIG, RECORD
from fsl_jax.files import sha256
from fsl_jax.sealed_json import decode_sealed, write_sealed


def edit_record(directory, **changes):
    """Change values of the record, and seal it again."""
    values = decode_sealed((directory / RECORD).read_bytes(), directory / RECORD, "")
    write_sealed(directory / RECORD, values | changes)


def list_again(directory, name):
    """Put the hash of a changed file into the record."""
    hashes = decode_sealed((directory / RECORD).read_bytes(), directory / RECORD, "")["sha256"]
    edit_record(directory, sha256=hashes | {name: sha256(directory / name)})


def edit_config(directory, **changes):
    """Change values of the config, and its hash in the record if there is one."""
    values = json.loads((directory / CONFIG).read_text())
    (directory / CONFIG).write_text(json.dumps(values | changes))
    if (directory / RECORD).exists():
        list_again(directory, CONFIG)
