"""Entities as a written list, such as `Berlin is a location; Angela Merkel is a person`, and back.

The words of an entity are looked for in the text after the entity before it, then anywhere. Where
that would find other words than those that are meant, `(2)` after them says which of the places
with these words it is.
"""

import re
from collections.abc import Sequence

from fsl_jax.tasks.parts.iob import Entity
from fsl_jax.tasks.parts.label_text import NOTHING

_PLACE = re.compile(r"(.+) \((\d{1,4})\)", re.DOTALL)


def write_entities(words: Sequence[str], found: Sequence[Entity]) -> str:
    """Write the entities of a text.

    Args:
      words: the words of the text.
      found: the entities, in their order.

    Returns:
      The list, which `read_entities` reads back.
    """
    pieces: list[str] = []
    taken: list[tuple[int, int]] = []
    for kind, start, end in found:
        name = words[start:end]
        if _find(" ".join(name), words, taken) != (start, end):
            places = _places(name, words)
            number = places.index((start, end)) + 1
            name = [*name, f"({number})"]
        taken.append((start, end))
        pieces.append(f"{' '.join(name)} is {_article(kind)} {kind}")
    return "; ".join(pieces) or NOTHING


def read_entities(text: str, words: Sequence[str], types: Sequence[str]) -> list[Entity] | None:
    """Read a list of entities.

    Args:
      text: what a model wrote.
      words: the words of the text that has the entities.
      types: the types that there are; without them, any word is one.

    Returns:
      The entities that stand in the text, each in words that no other one has; None if the text is
      no such list.
    """
    if text.strip().rstrip(".").casefold() in (NOTHING, ""):
        return []
    forms = {kind.casefold(): kind for kind in types}
    kinds = "|".join(map(re.escape, sorted(types, key=len, reverse=True))) if types else r"[^\s;]+?"
    pattern = rf"\s*(\S.*?) is an? ({kinds})\s*(?:[;,\n]|\.?\s*$|\.\s)"
    pieces = re.findall(pattern, text, re.IGNORECASE | re.DOTALL)
    taken: list[tuple[int, int]] = []
    found: list[Entity] = []
    for name, kind in pieces:
        place = _find(name, words, taken)
        if place:
            taken.append(place)
            found.append((forms.get(kind.casefold(), kind), *place))
    return found if pieces else None


def _find(
    name: str, words: Sequence[str], taken: Sequence[tuple[int, int]]
) -> tuple[int, int] | None:
    """Return the place of the words of a name; None if they do not stand in the text, or not free.

    Words in the same case are looked for first, and places after the last one that is taken.
    """
    pieces = name.split()
    after = taken[-1][1] if taken else 0
    for fold in (str, str.casefold):
        places = _places([*map(fold, pieces)], [*map(fold, words)])
        free = [place for place in places if not any(_overlap(place, each) for each in taken)]
        later = [place for place in free if place[0] >= after]
        if later or free:
            return (later or free)[0]
    match = _PLACE.fullmatch(name)
    if match:
        places = _places(match[1].split(), words)
        number = int(match[2])
        place = places[number - 1] if 0 < number <= len(places) else None
        if place and not any(_overlap(place, each) for each in taken):
            return place
    return None


def _places(name: Sequence[str], words: Sequence[str]) -> list[tuple[int, int]]:
    """Return all places where the words of a name stand one after another."""
    length = len(name)
    starts = range(len(words) - length + 1) if length else ()
    return [(i, i + length) for i in starts if list(words[i : i + length]) == list(name)]


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _article(kind: str) -> str:
    return "an" if kind[:1].lower() in "aeiou" else "a"
