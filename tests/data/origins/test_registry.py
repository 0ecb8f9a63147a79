import pytest

from fsl_jax.data.origins import registry
from fsl_jax.data.origins.registry import read_parts
from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.data.rows import Rows
from fsl_jax.errors import InputError


def test_files_and_folders_are_read(write, tmp_path):
    path = write("train.csv", "text,label\nsun,good\n")
    assert read_parts(str(path))["train"][0].rows[0].values == {"text": "sun", "label": "good"}
    write("test.csv", "text,label\nrain,bad\n")
    assert list(read_parts(str(tmp_path))) == ["train", "test"]


def test_embedded_names_come_before_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bbc_headlines").mkdir()
    assert len(read_parts("bbc_headlines")["test"][0].rows) == 413
    with pytest.raises(InputError, match=r"there is no train\.\*"):
        read_parts("./bbc_headlines")


def test_a_scheme_is_a_line_of_the_registry(monkeypatch):
    def toy(name, options):
        return {"train": (Rows(name, unit="row", remarks=[str(options.max_rows)]),)}

    monkeypatch.setitem(registry.ORIGINS, "toy", toy)
    (rows,) = read_parts("toy:any/name:x@y", ReadOptions(max_rows=3))["train"]
    assert (rows.source, rows.remarks) == ("any/name:x@y", ["3"])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("bbc_new", "Did you mean 'bbc_news'.* Or give a file, a directory, or hf:NAME, tfds:NAME"),
        (
            "stanfordnlp/sst2",
            "no file or directory 'stanfordnlp/sst2' .* write hf:stanfordnlp/sst2",
        ),
        ("missing.csv", r"no file or directory 'missing\.csv' \(looked in"),
        ("./a/b/c", r"no file or directory './a/b/c' \(looked in"),
        ("s3:bucket", "unknown data set 's3:bucket'"),
        ("", "a name or path is empty"),
    ],
)
def test_what_is_not_there_is_said(name, says):
    with pytest.raises(InputError, match=says):
        read_parts(name)


def test_libraries_of_hubs_are_imported_only_when_they_are_asked_for():
    import subprocess
    import sys

    code = (
        "import sys; from fsl_jax.data.origins.registry import read_parts; "
        "print([name for name in ('datasets', 'tensorflow_datasets', 'openpyxl', 'pyarrow', "
        "'charset_normalizer') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr
