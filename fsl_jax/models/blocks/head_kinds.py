"""The kinds of heads, which turn a model's hidden states into logits or features.

Every family uses these names:

- `masked_lm`: the masked token, for encoders;
- `causal_lm`, `seq2seq_lm`: the next token, by the output embedding that every decoder has;
- `sequence_classification`: the class of a text;
- `token_classification`: the class of each token;
- `mean_features`, `cls_features`: the mean of a text's hidden states, or the first of them.
"""

MASKED_LM = "masked_lm"
LANGUAGE_MODELS = ("causal_lm", "seq2seq_lm")
SEQUENCE_CLASSIFICATION = "sequence_classification"
TOKEN_CLASSIFICATION = "token_classification"
CLASSIFIERS = (SEQUENCE_CLASSIFICATION, TOKEN_CLASSIFICATION)
FEATURES = {"mean_features": "mean", "cls_features": "cls"}
"""The heads without leaves, and their pooling."""
ENCODER_HEADS = (TOKEN_CLASSIFICATION, *FEATURES)
"""The heads for which the encoder of an encoder-decoder is enough."""
POOLED_HEADS = (SEQUENCE_CLASSIFICATION, *FEATURES)
"""The heads that pool the hidden states of a text, so they need to know its real tokens."""
