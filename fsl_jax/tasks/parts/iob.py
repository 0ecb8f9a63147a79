"""Tags of words in the scheme IOB2: entities out of tags, tags out of entities, other schemes.

In IOB2 the first word of an entity has the tag `B-type`, each further one `I-type`, and every other
word `O` (Ratnaparkhi 1998; Tjong Kim Sang and Veenstra 1999, https://aclanthology.org/E99-1023).
"""

import re
from collections.abc import Iterable, Sequence

OUTSIDE = "O"

# Begin, inside, end or last, single or unit; `M` is the middle in some files.
_PREFIXED = re.compile(r"([BIELSUM])[-_](\S+)")

Entity = tuple[str, int, int]
"""A type, the first word and the word after the last one."""


def to_iob2(tags: Sequence[str]) -> tuple[str, ...]:
    """Write tags in IOB2.

    IOB1, IOB2, IOBES and BILOU are read, and types without a prefix. A tag that cannot continue the
    entity before it begins one.

    Args:
      tags: a tag for each word.

    Returns:
      The tags in IOB2.
    """
    written, before = [], None
    for tag in tags:
        match = _PREFIXED.fullmatch(tag)
        prefix, kind = match.groups() if match else ("I", tag)
        if tag == OUTSIDE:
            written.append(OUTSIDE)
            before = None
            continue
        begins = prefix in "BSU" or kind != before
        written.append(f"{'B' if begins else 'I'}-{kind}")
        before = None if prefix in "ELSU" else kind
    return tuple(written)


def entities(tags: Sequence[str]) -> list[Entity]:
    """Return the entities that tags stand for, in their order; tags may be ill-formed."""
    found: list[Entity] = []
    for position, tag in enumerate(to_iob2(tags)):
        if tag.startswith("B-"):
            found.append((tag[2:], position, position + 1))
        elif tag != OUTSIDE:
            kind, start, _ = found[-1]
            found[-1] = (kind, start, position + 1)
    return found


def tags_of(found: Iterable[Entity], words: int) -> tuple[str, ...]:
    """Return the tags of entities that do not overlap.

    Args:
      found: the entities.
      words: the number of words.

    Returns:
      A tag in IOB2 for each word.
    """
    tags = [OUTSIDE] * words
    for kind, start, end in found:
        tags[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
    return tuple(tags)


def tag_set(types: Sequence[str]) -> tuple[str, ...]:
    """Return all tags of some types of entities: `O`, and for each type its `B-` and its `I-`."""
    return (OUTSIDE, *(f"{prefix}-{kind}" for kind in types for prefix in "BI"))
