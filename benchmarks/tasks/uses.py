"""Uses of each task, and what its values may look like in a file, in words for a user."""

from typing import NamedTuple


class Use(NamedTuple):
    """Facts about a task that the task itself does not know.

    Attributes:
      examples: what it is used for.
      values: what the values in its columns may be.
    """

    examples: str
    values: str


USES = {
    "classification": Use(
        "sentiment, topic, intent, entailment, paraphrases",
        "A label is a text, an integer or a boolean. Two texts, such as `premise` and `hypothesis` "
        "or `sentence1` and `sentence2`, are read together.",
    ),
    "relation": Use(
        "facts about persons, places and products",
        "Each entity is given by its words, by the places of its words or characters, such as "
        '`{"positions": [0, 1]}` or `{"start": 0, "end": 12}`, or by the marks `<e1>` … `</e1>` '
        "and `<e2>` … `</e2>` in the text.",
    ),
    "multilabel": Use(
        "the aspects of a review, the subjects of an article",
        "Labels are a list, or a text with `|`, `;` or `,` between them; or each label is a column "
        "of 0 and 1.",
    ),
    "multicolumn": Use(
        "the topic and the urgency of a ticket",
        "A label is as in `classification`. The columns have no usual names, so `--columns` names "
        "them, with `+` between those of the labels.",
    ),
    "regression": Use(
        "the similarity of two sentences, a rating",
        "A number may be written as text. Whole numbers of which there are few look like classes: "
        "say `--task=regression`. Two texts are read together, as in `classification`.",
    ),
    "tagging": Use(
        "named entities, and other pieces of a text that have a type",
        "There is a tag for each word, in IOB1, IOB2, IOBES or BILOU, or a type without a prefix. "
        "CoNLL columns become these lists.",
    ),
    "question_answering": Use(
        "extractive question answering, where a question may have no answer",
        "Answers are texts with the places of their first characters, as in SQuAD, or a text that "
        "stands in the context. An empty list means that there is no answer.",
    ),
    "multiple_choice": Use(
        "exams, commonsense, the next sentence of a story",
        "Choices are a list, a mapping with `text` and `label`, or a column each. An answer is a "
        "number from 0 or from 1, a letter, or the label or the text of a choice.",
    ),
    "generation": Use(
        "translation, summaries, headlines, replies in a dialogue, code",
        "A target may be a list of texts, each of which is right. A source that is a list of turns "
        "is a dialogue, whose last turn is the target.",
    ),
}
