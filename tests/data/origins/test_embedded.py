import pytest

from fsl_jax.data.embedded import EMBEDDED, load_embedded
from fsl_jax.data.origins.embedded import embedded_parts


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_parts_are_those_of_the_data_set(name):
    parts, dataset = embedded_parts(name), load_embedded(name)
    for part in ("train", "test"):
        (rows,) = parts[part]
        assert [(row.values["text"], row.values["label"]) for row in rows.rows] == [
            (example.text, example.answer) for example in getattr(dataset, part)
        ]
    assert parts["train"][0].remarks == [
        f"165 articles of {name} are left out, since they repeat an earlier one."
    ]


def test_articles_have_their_headline_and_body():
    (rows,) = embedded_parts("bbc_news")["test"]
    assert rows.columns == ("text", "label", "headline", "body")
    for row in rows.rows:
        assert row.values["text"] == f"{row.values['headline']}\n\n{row.values['body']}"
