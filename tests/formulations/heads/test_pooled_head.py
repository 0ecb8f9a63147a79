from fsl_jax.data.examples import Example
from fsl_jax.formulations.heads.head import HeadFormulation


def test_of_a_pair_the_longer_text_is_cut(tiny_bases, pair_tokenizer):
    head = HeadFormulation(pair_tokenizer(tiny_bases["bert"]), ("a", "b"), max_length=6)
    parts = [("w1 w2", "w3 w4"), ("w1 w2 w3 w4 w5", "w6"), ("w1", "w2 w3 w4 w5")]
    tokenized = head.tokenize([Example({"a": a, "b": b}, "a") for a, b in parts])
    decoded = [head.pretrained.tokenizer.decode(ids) for ids in tokenized.tokens]
    assert decoded == ["w1 w2 . w3 w4 .", "w1 w2 w3 . w6 .", "w1 . w2 w3 w4 ."]
    assert tokenized.truncated == 2
