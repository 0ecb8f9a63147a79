"""Each module with logic has its test file at the mirrored path, and folders stay small."""

import ast
import collections
import pathlib

ROOT = pathlib.Path(__file__).parents[1]
LARGEST_FOLDER = 25

WITHOUT_TEST_FILE = {
    # A reason for each module with logic that has no test file at the mirrored path.
    "fsl_jax/adapt/files/adapter_encoding.py": "held by adapt/files/test_adapter_files",
    "fsl_jax/adapt/files/adapter_leaves.py": "held by adapt/files/test_adapter_files",
    "fsl_jax/adapt/files/classifier_export.py": "held by adapt/files/test_task_head",
    "fsl_jax/adapt/files/comparison.py": "held by adapt/files/test_exporting",
    "fsl_jax/adapt/methods/method.py": "the base class; held by the tests of the methods",
    "fsl_jax/adapt/methods/p_tuning_v2.py": "held by adapt/methods/test_prefix_tuning",
    "fsl_jax/adapt/parts/learned_prefix.py": "held by adapt/methods/test_prefix_tuning",
    "fsl_jax/adapt/parts/linear.py": "held by adapt/methods/test_p_tuning and test_prefix_tuning",
    "fsl_jax/adapt/parts/prompt_encoder.py": "held by adapt/methods/test_p_tuning",
    "fsl_jax/adapt/parts/soft_prompt.py": "held by adapt/methods/test_prompt_tuning",
    "fsl_jax/adapt/peft/adapter_reader.py": "held by the tests of the kinds in adapt/peft",
    "fsl_jax/adapt/peft/brought_head.py": "held by adapt/peft/test_brought",
    "fsl_jax/adapt/peft/fused_vera.py": "held by adapt/peft/test_vera",
    "fsl_jax/adapt/peft/header.py": "held by adapt/peft/test_adapter_kind",
    "fsl_jax/adapt/peft/ln_tuning.py": "held by adapt/peft/test_ia3",
    "fsl_jax/adapt/peft/lora_config.py": "held by adapt/peft/test_lora and test_targets",
    "fsl_jax/adapt/peft/module_tensors.py": "held by the tests of the kinds in adapt/peft",
    "fsl_jax/adapt/peft/modules.py": "held by adapt/peft/test_targets and test_some_layers",
    "fsl_jax/adapt/peft/prefix_tuning.py": "held by adapt/peft/test_soft_prompts",
    "fsl_jax/adapt/peft/prompts.py": "held by adapt/peft/test_soft_prompts",
    "fsl_jax/adapt/peft/tied_embeddings.py": "held by adapt/peft/test_brought",
    "fsl_jax/data/readers/arrow_values.py": "held by data/readers/test_arrow_tables",
    "fsl_jax/formulations/base.py": "the base class; held by the tests of the formulations",
    "fsl_jax/formulations/heads/place_head.py": "held by formulations/heads/test_heads",
    "fsl_jax/formulations/heads/text_head.py": "held by formulations/heads/test_heads",
    "fsl_jax/models/__init__.py": "imports at first use; held by test_package",
    "fsl_jax/models/blocks/bottleneck.py": "held by adapt/methods/test_bottleneck",
    "fsl_jax/models/blocks/classifiers.py": "held by models/blocks/test_heads",
    "fsl_jax/models/blocks/embedding.py": "held by adapt/methods/test_prompt_tuning",
    "fsl_jax/models/blocks/learned_prefix.py": "held by adapt/methods/test_prefix_tuning",
    "fsl_jax/models/blocks/masked_lm.py": "held by models/blocks/test_heads",
    "fsl_jax/models/families/bert/gguf.py": "held by models/families/test_gguf",
    "fsl_jax/models/families/bert/masked_lm_names.py": "held by models/families/test_grid",
    "fsl_jax/models/families/config.py": "a protocol; held by models/families/test_registry",
    "fsl_jax/models/families/gpt2/gguf.py": "held by models/families/test_gguf",
    "fsl_jax/models/families/llama/attention_inputs.py": "held by models/families/llama/test_group",
    "fsl_jax/models/families/llama/config.py": "held by models/families/llama/test_config_json",
    "fsl_jax/models/families/llama/qwen.py": "held by models/families/llama/test_config_json",
    "fsl_jax/models/families/t5/config.py": "held by models/families/t5/test_model",
    "fsl_jax/models/families/t5/layers.py": "held by models/families/t5/test_model",
    "fsl_jax/models/families/t5/stack.py": "held by models/families/t5/test_model",
    "fsl_jax/models/generation/batch_generation.py": "held by models/generation/test_generate",
    "fsl_jax/models/generation/beam_search.py": "held by models/generation/test_batch_beam_search",
    "fsl_jax/models/gguf/block_expansion.py": "held by models/gguf/test_quantization",
    "fsl_jax/models/gguf/byte_reader.py": "held by models/gguf/test_reader",
    "fsl_jax/models/gguf/tensors.py": "held by models/gguf/test_reader",
    "fsl_jax/studies/forecasting/dry_run.py": "held by experiments/test_study and test_distributed",
    "fsl_jax/studies/forecasting/speed.py": "measures the machine; used by experiments/test_study",
    "fsl_jax/studies/planning/formulations.py": "held by studies/running/test_prepare",
    "fsl_jax/studies/planning/base_model.py": "held by experiments/test_study and test_evaluate",
    "fsl_jax/studies/reporting/plot_style.py": "held by the tests of the plots",
    "fsl_jax/studies/run_programs.py": "held by experiments/test_study",
    "fsl_jax/studies/running/fitting.py": "held by experiments/test_study",
    "fsl_jax/studies/running/run_records.py": "held by studies/running/test_fit_records",
    "fsl_jax/studies/running/running_study.py": "held by experiments/test_study",
    "fsl_jax/studies/running/saving.py": "held by experiments/test_study",
    "fsl_jax/studies/running/testing.py": "held by studies/running/test_fit_records",
    "fsl_jax/studies/running/training.py": "held by experiments/test_study",
    "fsl_jax/studies/study.py": "held by experiments/test_study",
    "fsl_jax/tasks/task.py": "the base class; held by the tests of the tasks",
    "fsl_jax/formulations/decoder_slots.py": "held by the tests of word_scores and answer_states",
    "fsl_jax/formulations/formulation.py": "a protocol; held by the tests of both formulations",
}


def has_logic(path):
    """Return True if a module defines a function or a method."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes)


def mirrored_test(module):
    """Return the path of the test file of a module; that of a package is `test_package.py`."""
    path = pathlib.PurePosixPath(module)
    inside = path.relative_to("fsl_jax") if path.parts[0] == "fsl_jax" else path
    name = "package" if path.stem == "__init__" else path.stem
    return ROOT / "tests" / inside.parent / f"test_{name}.py"


def modules():
    for folder in ("fsl_jax", "experiments"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix()


def test_a_module_has_its_tests_at_the_mirrored_path():
    missing = [
        f"{module}: expected {mirrored_test(module).relative_to(ROOT)}"
        for module in modules()
        if module not in WITHOUT_TEST_FILE
        and has_logic(ROOT / module)
        and not mirrored_test(module).exists()
    ]
    assert not missing, "write tests, or list the module with the reason:\n" + "\n".join(missing)


def test_the_list_has_only_modules_with_logic_and_without_tests():
    problems = []
    for module, reason in WITHOUT_TEST_FILE.items():
        if not (ROOT / module).exists():
            problems.append(f"{module} does not exist")
        elif not has_logic(ROOT / module):
            problems.append(f"{module} has no logic")
        elif mirrored_test(module).exists():
            problems.append(f"{module} has a test file")
        if not reason:
            problems.append(f"{module} has no reason")
    assert not problems, "take these off the list:\n" + "\n".join(problems)


def test_no_folder_has_more_files_than_one_can_look_through():
    counts = collections.Counter(pathlib.PurePosixPath(module).parent for module in modules())
    large = {str(folder): count for folder, count in counts.items() if count > LARGEST_FOLDER}
    assert not large, f"split these folders, which have more than {LARGEST_FOLDER} files: {large}"
