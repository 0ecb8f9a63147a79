"""The hub is a local folder of the same layout, and the calls to its server are replaced."""

import json
import types

import datasets
import huggingface_hub
import pytest
from huggingface_hub import errors

from fsl_jax.data.origins.hub import hub_parts
from fsl_jax.data.origins.limits import LARGEST_DOWNLOAD
from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.errors import InputError

FEATURES = datasets.Features(
    {
        "text": datasets.Value("string"),
        "label": datasets.ClassLabel(names=["dog", "cat"]),
        "tags": datasets.List(datasets.ClassLabel(names=["O", "B-X"])),
    }
)
ROWS = {"text": ["one", "two", "three"], "label": [0, 1, -1], "tags": [[0, 1], [], [0]]}
VALUES = [
    {"text": "one", "label": "dog", "tags": ["O", "B-X"]},
    {"text": "two", "label": "cat", "tags": []},
    {"text": "three", "label": None, "tags": ["O"]},
]


@pytest.fixture
def repository(tmp_path):
    """A repository with two configs and three parts."""
    card = ["---", "configs:"]
    for config in ("small", "large"):
        card += [f"- config_name: {config}", "  data_files:"]
        for split in ("train", "validation", "extra"):
            folder = tmp_path / "org/name" / config
            folder.mkdir(parents=True, exist_ok=True)
            rows = datasets.Dataset.from_dict(ROWS, features=FEATURES)
            file = folder / f"{split}-00000-of-00001.parquet"
            write_parquet(rows, file)
            card += [f"  - split: {split}", f"    path: {config}/{file.name}"]
    (tmp_path / "org/name/README.md").write_text("\n".join([*card, "---", ""]))
    return tmp_path / "org/name"


def write_parquet(rows, file):
    import pyarrow.parquet

    pyarrow.parquet.write_table(rows.data.table, file)


@pytest.fixture
def server(repository, monkeypatch, tmp_path):
    """A hub with the repository `org/name`; its attributes say what was asked and what to raise."""
    server = types.SimpleNamespace(size=100, error=None, asked=[])

    def dataset_info(api, name, *, revision, files_metadata):
        server.asked.append((name, revision))
        if server.error:
            raise server.error
        siblings = [types.SimpleNamespace(size=server.size)]
        return types.SimpleNamespace(sha="c0ffee", siblings=siblings)

    def snapshot_download(name, *, repo_type, revision, local_files_only=False):
        server.asked.append((repo_type, revision, local_files_only))
        if local_files_only and not (tmp_path / "cache/c0ffee").exists():
            raise errors.LocalEntryNotFoundError("not there")
        return str(repository)

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    # Not the folder of the repository, so that its name is none of a local folder.
    monkeypatch.chdir(tmp_path / "org")
    return server


def read(name, **options):
    return hub_parts(name, ReadOptions(**options))


def values(parts, part):
    (rows,) = parts[part]
    return [row.values for row in rows.rows]


def test_classes_have_their_names_and_parts_their_rows(repository):
    parts = read(f"{repository}:small")
    assert list(parts) == ["train", "validation"]
    assert values(parts, "train") == values(parts, "validation") == VALUES
    (train,) = parts["train"]
    assert train.columns == ("text", "label", "tags")
    assert train.source == f"hf:{repository}:small (train)"
    assert train.remarks == [f"These parts of hf:{repository}:small are not read: extra."]


@pytest.mark.parametrize("config", ["", ":medium"])
def test_a_config_has_to_be_named_if_there_are_several(config, repository):
    with pytest.raises(InputError, match="hf:NAME:CONFIG with one of small, large"):
        read(f"{repository}{config}")


def test_a_default_config_need_not_be_named(repository):
    card = repository / "README.md"
    card.write_text(card.read_text().replace("name: large", "name: large\n  default: true"))
    assert values(read(str(repository)), "train") == VALUES


def test_other_formats_are_read_and_limits_said(tmp_path):
    lines = "".join(json.dumps({"text": f"text {n}", "score": n / 2}) + "\n" for n in range(5))
    (tmp_path / "train.jsonl").write_text(lines)
    parts = read(str(tmp_path), max_rows=2)
    assert values(parts, "train") == [
        {"text": "text 0", "score": 0.0},
        {"text": "text 1", "score": 0.5},
    ]
    assert "The first 2 rows of" in parts["train"][0].remarks[0]


def test_a_repository_is_downloaded_at_a_commit(server):
    parts = read("org/name:small@main")
    assert values(parts, "train") == VALUES
    assert {rows.revision for files in parts.values() for rows in files} == {"c0ffee"}
    assert server.asked == [("org/name", "main"), ("dataset", "c0ffee", False)]
    assert "hf:org/name:small@main was read at revision c0ffee." in parts["train"][0].remarks


def test_a_large_repository_is_streamed(server, repository, monkeypatch):
    server.size = LARGEST_DOWNLOAD + 1
    streamed = []
    for function in ("get_dataset_config_names", "load_dataset_builder"):
        original = getattr(datasets, function)

        def local(path, revision, _original=original, **options):
            streamed.append((path, revision))
            return _original(str(repository), **options)

        monkeypatch.setattr(datasets, function, local)
    assert values(read("org/name:small"), "train") == VALUES
    assert streamed == [("org/name", "c0ffee")] * 2
    assert server.asked == [("org/name", None)]


def response(status):
    return types.SimpleNamespace(status_code=status, headers={}, request=None)


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (errors.RepositoryNotFoundError, "the hub has no data set 'org/name', or it is private"),
        (errors.RevisionNotFoundError, "the hub has no revision 'old' of it"),
        (errors.GatedRepoError, "accept its conditions"),
    ],
)
def test_what_the_hub_has_not_is_said(error, problem, server):
    server.error = error("no", response=response(404))
    with pytest.raises(InputError, match=problem):
        read("org/name@old")


def test_without_a_connection_the_cache_is_read(server, tmp_path, monkeypatch):
    server.error = OSError("no connection")
    with pytest.raises(InputError, match=r"cannot be reached \(no connection\)"):
        read("org/name:small")
    (tmp_path / "cache").mkdir()
    (tmp_path / "org/name").rename(tmp_path / "cache/c0ffee")
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda *_, **__: str(tmp_path / "cache/c0ffee")
    )
    parts = read("org/name:small")
    assert values(parts, "train") == VALUES
    assert parts["train"][0].revision == "c0ffee"


@pytest.mark.parametrize("name", ["", "a@b@c", "a:b:c", ":small"])
def test_names_of_another_form_are_refused(name):
    with pytest.raises(InputError, match=r"expected hf:NAME\[:CONFIG\]\[@REVISION\]"):
        read(name)


def test_a_local_folder_has_no_revisions(repository):
    with pytest.raises(InputError, match="a local folder has no revisions; leave out @main"):
        read(f"{repository}:small@main")


def test_what_datasets_cannot_read_is_said(tmp_path):
    with pytest.raises(InputError, match=r"hf:.* cannot be read: "):
        read(str(tmp_path))
    (tmp_path / "train.parquet").write_bytes(b"no Parquet")
    with pytest.raises(InputError, match=r"hf:.* cannot be read: "):
        read(str(tmp_path))


def test_code_of_a_repository_is_not_run(tmp_path):
    (tmp_path / f"{tmp_path.name}.py").write_text("raise SystemExit('this was run')")
    with pytest.raises(InputError, match="cannot be read"):
        read(str(tmp_path))


def test_pictures_are_left_out(tmp_path):
    features = datasets.Features({"text": datasets.Value("string"), "image": datasets.Image()})
    table = {"text": ["one"], "image": [{"bytes": b"no picture", "path": None}]}
    rows = datasets.Dataset.from_dict(table, features=features)
    write_parquet(rows, tmp_path / "train.parquet")
    parts = read(str(tmp_path))
    assert values(parts, "train") == [{"text": "one"}]
    assert "These columns of" in parts["train"][0].remarks[0]
    assert "image" in parts["train"][0].remarks[0]
