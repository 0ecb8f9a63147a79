from fsl_jax.data.rows import shortened


def test_a_long_list_is_cut_and_counted():
    assert shortened(range(10)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert shortened(range(12)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
    assert shortened([]) == ""
