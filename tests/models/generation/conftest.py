import pytest

from fsl_jax.models.generation.settings import Settings


@pytest.fixture(scope="session")
def greedy():
    """Settings without a fault, which tests change one by one."""
    return Settings(
        max_new_tokens=4,
        temperature=0.0,
        top_k=None,
        top_p=None,
        min_p=None,
        repetition_penalty=1.0,
        num_beams=1,
        length_penalty=1.0,
        num_return_sequences=1,
        stop=(),
        stop_tokens=(),
        chat=False,
        seed=0,
        batch_size=8,
    )
