"""The notebook on soft prompts: it runs, and its saved copy is what the text would make."""

import json
import pathlib
import re
import runpy

import jupytext
import nbformat
import pytest

import fsl_jax
import fsl_jax.data

NOTEBOOK = pathlib.Path(__file__).parents[3] / "notebooks" / "prompt_embeddings.py"
SAVED = NOTEBOOK.with_suffix(".ipynb")
SIZE = {"shots": 2, "seeds": [1, 2], "length": 2, "text": "very far", "steps": 2, "words": 40}


@pytest.fixture(scope="module")
def saved():
    return nbformat.read(SAVED, as_version=4)


# Of UMAP's kinds, one would need TensorFlow, and is not used.
@pytest.mark.filterwarnings("ignore:Tensorflow not installed:ImportWarning")
def test_it_runs_from_top_to_bottom(tiny_bases, tiny_dataset, monkeypatch, capsys):
    # UMAP compiles itself for half a minute; on so few vectors Python is faster.
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    monkeypatch.setenv("FSL_JAX_PROMPTS", json.dumps(SIZE | {"umap_epochs": 2}))
    monkeypatch.setattr(fsl_jax, "load", lambda name: tiny_bases["bert"])
    monkeypatch.setattr(fsl_jax.tasks, "load_dataset", lambda name: tiny_dataset)

    found = runpy.run_path(str(NOTEBOOK))

    assert found["trained"].prompts.shape == (3, 8, 2, 16)
    assert found["neighbours"].shape == (40 + 2 * 16, 2)
    assert found["removals"].without.shape == (8, 2)
    said = capsys.readouterr().out
    assert "| 1 | very | 0.00 | very (" in said
    assert "| 1 | east | 0.00 | east (" in said
    assert said.count("\n| labels |") == 3
    assert "two words of the vocabulary: " in said


def test_the_saved_copy_has_the_same_cells(saved):
    text = jupytext.read(NOTEBOOK)
    assert [(cell.cell_type, cell.source) for cell in saved.cells] == [
        (cell.cell_type, cell.source) for cell in text.cells
    ]


def test_the_saved_copy_was_run_in_order_and_has_its_pictures(saved):
    code = [cell for cell in saved.cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    assert {output.output_type for output in outputs} <= {
        "stream",
        "execute_result",
        "display_data",
    }
    assert {output.name for output in outputs if output.output_type == "stream"} == {"stdout"}
    assert SAVED.stat().st_size < 2**20


def test_the_saved_copy_names_no_path_of_the_machine_that_made_it(saved):
    for cell in saved.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("image/png", None)
    said = json.dumps([saved.metadata, *(cell.get("outputs", []) for cell in saved.cells)])
    assert re.findall(r"(?<![\w.:/])/\w+/[\w./]*", said) == []
