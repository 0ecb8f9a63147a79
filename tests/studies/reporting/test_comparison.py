"""Several studies stand in one table."""

from fsl_jax.studies.records.timings import Timing
from fsl_jax.studies.reporting.comparison import comparison_table
from fsl_jax.studies.reporting.summary import summarise


def test_a_method_is_one_line_with_its_result_in_every_study(study, make_record):
    timings = [Timing("0", "bitfit", "other", 1.0, 20.0, 3.4)]
    both = {"first": summarise(study, timings), "second": summarise([make_record(test=0.7)], [])}
    header, _, *lines = comparison_table(both).splitlines()
    assert header == "| method | model | trained parameters | first | second | seconds |"
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len({(method, model) for method, model, *_ in cells}) == len(cells)
    by_key = {(method, model): rest for method, model, *rest in cells}
    assert by_key["bitfit", "other"] == ["1,000", "70.3 ± 1.5", "-", "24"]
    own = make_record(test=0.7)
    assert by_key[own.method, own.model][2] == "70.0"


def test_the_best_on_average_is_first_and_what_failed_last(study):
    lines = comparison_table({"one": summarise(study, [])}).splitlines()[2:]
    results = [line.split("|")[4].strip() for line in lines]
    assert results[-1] == "failed"
    means = [float(each.split()[0]) for each in results[:-1]]
    assert means == sorted(means, reverse=True)
