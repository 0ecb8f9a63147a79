"""The parameter tree by its paths."""

import jax

from fsl_jax.adapt.tree import flatten, key_of, unflatten


def test_paths_have_slashes_and_unflatten_undoes_them(bert):
    leaves = flatten(bert.params)
    assert (
        leaves["layers/attention/query/kernel"]
        is bert.params["layers"]["attention"]["query"]["kernel"]
    )
    assert jax.tree.structure(unflatten(leaves)) == jax.tree.structure(bert.params)


def test_the_key_of_a_leaf_depends_on_its_path_and_on_the_whole_draw():
    keys = [key_of(jax.random.key(seed), path) for seed in (0, 1) for path in ("a/b", "a/c")]
    data = {tuple(jax.random.key_data(key).tolist()) for key in keys}
    assert len(data) == 4
    assert (
        jax.random.key_data(key_of(jax.random.key(0), "a/b")) == jax.random.key_data(keys[0])
    ).all()
