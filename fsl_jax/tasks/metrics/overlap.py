"""Metrics of written texts by sacrebleu: chrF and BLEU."""

from collections.abc import Sequence


def chrf(answers: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return chrF of all texts together, from 0 to 1 (Popović 2015).

    Args:
      answers: a text for each example.
      references: the reference texts of each example, at least one.

    Returns:
      chrF, as sacrebleu gives it in percent by default.
    """
    from sacrebleu.metrics import CHRF

    return CHRF().corpus_score(list(answers), _streams(references)).score / 100


def bleu(answers: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return BLEU of all texts together, from 0 to 1 (Papineni et al. 2002; Post 2018).

    Args:
      answers: a text for each example.
      references: the reference texts of each example, at least one.

    Returns:
      BLEU, as sacrebleu gives it in percent by default.
    """
    from sacrebleu.metrics import BLEU

    # Texts that are tokenised already are scored too, without a warning about each.
    return BLEU(force=True).corpus_score(list(answers), _streams(references)).score / 100


def _streams(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """Return lists of references, as sacrebleu takes them: the first of each example, and so on."""
    most = max(map(len, references))
    return [
        [each[number] if number < len(each) else None for each in references]
        for number in range(most)
    ]
