"""The labels of a head that an adapter from PEFT brings, and those of the data."""

import numpy as np
import peft_classifiers as peft_side
import pytest

from fsl_jax.data import text_example
from fsl_jax.errors import InputError
from fsl_jax.studies.evaluation.brought_labels import matching_labels, require_no_prompt
from fsl_jax.studies.evaluation.evaluate import evaluate_adapter
from fsl_jax.studies.planning.base_model import load_base
from fsl_jax.tasks import make_dataset

NUMBERED = ("LABEL_0", "LABEL_1", "LABEL_2")


def data(labels):
    return make_dataset(
        "data",
        [text_example(f"w{i} w{i + 1} w{2 * i}", labels[i % len(labels)]) for i in range(24)],
    )


@pytest.mark.parametrize(
    ("names", "labels", "expected"),
    [
        (("b", "a"), ("a", "b"), ("b", "a")),
        (NUMBERED, ("0", "1"), ("0", "1", "2")),
        (NUMBERED, ("LABEL_1", "LABEL_2"), NUMBERED),
    ],
)
def test_names_are_the_heads_and_numbers_the_datas(names, labels, expected):
    assert matching_labels(data(labels), names) == expected


def test_numbered_classes_are_not_guessed():
    with pytest.raises(InputError, match=r"3 classes without names.*'a', 'b'.*id2label"):
        matching_labels(data(("a", "b")), NUMBERED)


def test_a_prompt_beside_a_head_is_refused():
    require_no_prompt(None, None)
    with pytest.raises(InputError, match="brings a head"):
        require_no_prompt("{text}", None)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning:peft")
def test_an_adapter_with_a_head_is_evaluated_with_its_labels(peft_classifier):
    import torch

    case = peft_classifier("lora", "Llama", "SEQ_CLS")
    dataset = data(peft_side.LABELS)
    base = load_base(str(case.base), adapter=case.adapter)
    evaluation = evaluate_adapter(base, case.adapter, dataset, batch_tokens=64)
    assert evaluation.formulation.labels == peft_side.LABELS
    for prediction, example in zip(evaluation.predictions, evaluation.examples, strict=True):
        ids = torch.tensor([base.tokenizer(example.text)["input_ids"]])
        with torch.no_grad():
            logits = case.model(input_ids=ids).logits[0]
        expected = dict(zip(peft_side.LABELS, torch.softmax(logits, 0).tolist(), strict=True))
        assert prediction.probabilities == pytest.approx(expected, abs=1e-5)
        assert prediction.prediction == peft_side.LABELS[int(np.argmax(logits.numpy()))]
