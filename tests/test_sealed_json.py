import json

import pytest

from fsl_jax.errors import InputError
from fsl_jax.sealed_json import decode_sealed, encode_sealed, write_sealed
from tests.plugins.fuzzing import read_damaged

VALUES = {
    "name": "Grüße",
    "rates": [1e-3, 2],
    "inner": {"seal": None},
    "none": {},
    "half": "\udcff",
}


def decode(data):
    return decode_sealed(data, "plan.json", "Write it again.")


def test_a_sealed_file_gives_its_values_back_in_order(tmp_path):
    write_sealed(tmp_path / "plan.json", VALUES)
    read = decode_sealed(
        (tmp_path / "plan.json").read_bytes(), tmp_path / "plan.json", "Write it again."
    )
    assert read == VALUES
    assert list(read) == list(VALUES)
    assert decode(encode_sealed({})) == {}


def test_other_programs_read_a_sealed_file_as_json():
    text = encode_sealed(VALUES).decode()
    assert VALUES.items() <= json.loads(text).items()
    assert "Grüße" in text


def test_every_changed_bit_is_noticed():
    data = encode_sealed(VALUES)
    for position in range(8 * len(data)):
        changed = bytearray(data)
        changed[position // 8] ^= 1 << position % 8
        for required in (True, False):
            with pytest.raises(InputError, match=r"^plan\.json: .*Write it again\.$"):
                decode_sealed(bytes(changed), "plan.json", "Write it again.", required=required)


@pytest.mark.parametrize("change", [b" ", b"\n", b"{}"])
def test_added_bytes_are_noticed(change):
    data = encode_sealed(VALUES)
    for changed in (data + change, change + data):
        with pytest.raises(InputError, match=r"^plan\.json: "):
            decode(changed)


def test_a_file_without_a_seal_is_read_only_where_that_is_accepted():
    data = json.dumps(VALUES).encode()
    assert decode_sealed(data, "plan.json", "", required=False) == VALUES
    with pytest.raises(InputError, match=r"it has no seal, which this version writes\. Write it"):
        decode(data)


def test_the_names_of_the_seal_are_reserved():
    with pytest.raises(ValueError, match="'seal', 'sealed'"):
        encode_sealed({"sealed": 1, "seal": 2})


def test_damaged_files_are_refused():
    read_damaged(decode, [encode_sealed(VALUES), encode_sealed({})])


@pytest.mark.soak
def test_many_damaged_files_are_refused():
    read_damaged(decode, [encode_sealed(VALUES), encode_sealed({})], cases=20_000)
