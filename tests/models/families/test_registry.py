import jax
import jax.numpy as jnp

from fsl_jax.models.families.registry import FAMILIES, initialise, module_of, parameter_shapes


def test_a_family_is_known_by_the_name_that_its_configs_have(tiny):
    module = module_of(tiny.config)
    assert isinstance(module, FAMILIES[tiny.config.family].module)


def test_initial_parameters_have_their_shapes_and_dtype(tiny):
    tree = jax.eval_shape(lambda: initialise(tiny.config, jax.random.key(0), jnp.bfloat16))
    assert {leaf.dtype for leaf in jax.tree.leaves(tree)} == {jnp.dtype("bfloat16")}
    assert jax.tree.map(jnp.shape, tree) == jax.tree.map(jnp.shape, tiny.params)


def test_layers_are_drawn_one_by_one(tiny):
    params = jax.jit(lambda: initialise(tiny.config, jax.random.key(0)))()
    kernels = params["layers"]["attention"]["query"]["kernel"]
    assert parameter_shapes(tiny.config)["layers/attention/query/kernel"] == kernels.shape
    assert bool(jnp.any(kernels[0] != kernels[1]))
    assert 0.01 < float(jnp.std(kernels)) < 0.03
