import os

import pytest

from fsl_jax.adapt.files.adapter_reading import read_file
from fsl_jax.errors import InputError


@pytest.fixture
def directory(tmp_path):
    """A directory with a file `inside`, beside a file `outside`."""
    (tmp_path / "outside").write_text("outside")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter/inside").write_text("inside")
    return tmp_path / "adapter"


def test_a_file_and_a_link_to_its_neighbour_are_read(directory):
    (directory / "link").symlink_to("inside")
    assert read_file(directory / "inside", 6) == read_file(directory / "link", 6) == b"inside"


def test_a_directory_may_be_a_link_itself(directory, tmp_path):
    (tmp_path / "other").symlink_to(directory)
    (directory / "link").symlink_to("inside")
    assert read_file(tmp_path / "other/inside", 6) == b"inside"
    assert read_file(tmp_path / "other/link", 6) == b"inside"


@pytest.mark.parametrize("target", ["../outside", "/dev/zero", "../adapter2/inside"])
def test_a_link_that_leads_out_is_not_followed(directory, tmp_path, target):
    (tmp_path / "adapter2").mkdir()
    (tmp_path / "adapter2/inside").touch()
    (directory / "link").symlink_to(target)
    with pytest.raises(InputError, match="link: a link that leads out of its directory"):
        read_file(directory / "link", 6)


def test_links_through_a_link_are_followed_to_their_end(directory):
    (directory / "first").symlink_to("second")
    (directory / "second").symlink_to("../outside")
    with pytest.raises(InputError, match="first: a link that leads out"):
        read_file(directory / "first", 6)


@pytest.mark.parametrize("folder", ["", "inner"])
def test_the_files_of_the_hubs_cache_are_links_and_are_read(tmp_path, folder):
    (tmp_path / "model/blobs").mkdir(parents=True)
    (tmp_path / "model/blobs/ab12").write_text("from the hub")
    directory = tmp_path / "model/snapshots/0123" / folder
    directory.mkdir(parents=True)
    link = directory / "adapter_config.json"
    link.symlink_to(os.path.relpath(tmp_path / "model/blobs/ab12", directory))
    assert read_file(link, 100) == b"from the hub"


def test_a_file_is_not_read_beyond_the_limit(directory):
    with (directory / "large").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match=r"1,099,511,627,776 bytes, and at most 100 are read"):
        read_file(directory / "large", 100)


def test_what_is_no_file_is_refused(directory):
    os.mkfifo(directory / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(InputError, match="not a plain file"):
            read_file(directory / name, 100)
    with pytest.raises(InputError, match="there is no such file"):
        read_file(directory / "nothing", 100)
