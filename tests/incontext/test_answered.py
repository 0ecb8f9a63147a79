from fsl_jax.incontext.answered import Answered


def test_queries_without_an_answer_are_counted():
    assert Answered(["east", None, "", None], 0).unreadable == 2
    assert Answered([], 0).unreadable == 0
    assert Answered([], 0).cut_answers == 0
