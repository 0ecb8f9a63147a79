from fsl_jax.packing.rounding import divide_up, round_up


def test_quotients_are_rounded_up():
    assert [divide_up(number, 4) for number in (0, 1, 4, 5)] == [0, 1, 1, 2]


def test_numbers_are_rounded_up_to_a_multiple():
    assert [round_up(number, 8) for number in (0, 1, 8, 9)] == [0, 8, 8, 16]
