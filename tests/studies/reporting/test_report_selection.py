import re
import shlex

from fsl_jax.studies.reporting.report_selection import adapters_section, selection_table
from fsl_jax.studies.reporting.summary import summarise


def test_the_command_names_the_adapter_that_validation_likes_best(make_record):
    records = [
        make_record(seed=1, validation=0.7, adapter="adapters/lora (8)/seed-1"),
        make_record(seed=2, validation=0.9, adapter="adapters/lora (8)/seed-2"),
    ]
    rows = summarise(records, [])
    (text,) = adapters_section(rows)
    (command,) = re.findall(r"```sh\n(.+)\n```", text)
    assert shlex.split(command)[3:] == [
        "--model=tiny",
        "--adapter=adapters/lora (8)/seed-2",
        "--dataset=fruits",
        "--output=evaluation",
    ]
    assert "(adapters/lora%20%288%29/seed-1)" in selection_table(rows)


def test_without_adapters_there_is_nothing_to_use(make_record):
    rows = summarise([make_record("untrained", method="zero_shot")], [])
    assert adapters_section(rows) == []


def test_every_selected_run_is_listed_with_its_learning_rate_and_step(make_record):
    records = [make_record(seed=1, learning_rate=1e-4), make_record("failed", seed=2)]
    text = selection_table(summarise(records, []))
    assert "| 1 | 0.0001 | 20 | 75.0 | 70.0 |" in text
    assert "| lora | tiny | - | 2 | - | - | - | failed |" in text
