from fsl_jax.studies.reporting.report_reading import how_to_read
from fsl_jax.studies.reporting.summary import summarise


def reading(records):
    return "\n".join(how_to_read(summarise(records, []), records))


def test_one_run_a_seed_is_not_called_a_selection(make_record):
    text = reading([make_record(seed=1), make_record(seed=2)])
    assert "Gao" not in text
    assert "There was one run for each method and seed." in text


def test_only_one_size_of_the_test_set_has_a_margin(make_record):
    assert "The test set has 200 examples." in reading([make_record(seed=1)])
    sizes = [make_record(seed=1), make_record(seed=2, test_examples=100)]
    assert "The test set has" not in reading(sizes)


def test_an_interval_of_no_width_is_explained(study):
    assert "`zero_shot` with `tiny`: every seed gave the same value." in reading(study)
