import pytest

from fsl_jax.formulations.windows import make_windows

CONTEXT = " ".join(f"w{number}" for number in range(10, 24))


def shown(model, found):
    return [model.tokenizer.decode(window.ids) for window in found.windows]


def test_windows_have_the_question_and_overlap(tiny_bases):
    model = tiny_bases["bert"]
    short, long = make_windows(model, ["w1", "w2 w3"], ["w4 w5", CONTEXT], 10, 3)
    assert shown(model, short) == ["w1 w4 w5"]
    assert shown(model, long) == [
        "w2 w3 w10 w11 w12 w13 w14 w15 w16 w17",
        "w2 w3 w15 w16 w17 w18 w19 w20 w21 w22",
        "w2 w3 w20 w21 w22 w23",
    ]
    assert [window[1:] for window in long.windows] == [(2, 0, 8), (2, 5, 8), (2, 10, 4)]
    assert not long.is_cut


@pytest.mark.parametrize("overlap", [0, 2, 99])
@pytest.mark.parametrize("limit", [3, 5, 8, 40])
def test_every_token_of_a_context_is_in_a_window(tiny_bases, limit, overlap):
    model = tiny_bases["llama"]
    [found] = make_windows(model, ["w1 w2 w3"], [CONTEXT], limit, overlap)
    covered = [False] * 14
    for window in found.windows:
        assert len(window.ids) <= limit
        numbers = range(window.first, window.first + window.size)
        part = window.ids[window.place : window.place + window.size]
        assert part == [found.context.ids[number] for number in numbers]
        for number in numbers:
            covered[number] = True
    assert all(covered)
    assert found.is_cut == (limit < 7)
    shared = [
        a.first + a.size - b.first for a, b in zip(found.windows, found.windows[1:], strict=False)
    ]
    assert all(0 <= each <= overlap for each in shared)


def test_a_context_without_tokens_has_one_window(tiny_bases):
    [found] = make_windows(tiny_bases["bert"], ["w1"], [""], 10, 3)
    assert [window.size for window in found.windows] == [0]
