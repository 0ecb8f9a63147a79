"""Special tokens of tokenizers whose early checkpoints do not name them."""

WORDPIECE_TOKENS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
"""The special tokens of WordPiece vocabularies by role."""
