from fsl_jax.studies.planning.programs import PlannedRun
from fsl_jax.studies.planning.written_method import WrittenMethod
from fsl_jax.studies.running.saving import adapter_directory


def test_a_directory_names_the_method_as_it_was_written():
    run = PlannedRun(WrittenMethod.parse("lora(rank=4)+bitfit"), 13, 1e-3)
    expected = "adapters/models_bert/lora_rank=4_+bitfit/seed_13"
    assert adapter_directory("/models/bert/", run) == expected
