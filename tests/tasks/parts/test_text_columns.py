import pytest

from fsl_jax.tasks.parts.text_columns import find_texts


@pytest.mark.parametrize(
    ("columns", "texts"),
    [
        (["id", "Text", "label"], ("Text",)),
        (["premise", "hypothesis", "label"], ("premise", "hypothesis")),
        (["sentence", "question", "label"], ("question", "sentence")),
        (["sentence1", "label"], ()),
        (["a", "b"], ()),
    ],
)
def test_texts_are_found_by_their_names(columns, texts):
    assert find_texts(columns) == texts
