"""Sentences in many scripts, with emoji, combining marks and characters that tokenizers drop."""

import random

_RANGES = {
    "Latin": "az AZ àÿ āſ ḁỹ ﬀﬄ 09",
    "Cyrillic": "аџ Ђя ѐѿ",
    "Greek": "ΐώ ἀῼ",
    "Arabic": "ءغ في ٱە ﭐﮱ ﷺﷺ",
    "Hebrew": "את",
    "Devanagari": "अह",
    "Chinese": "一龠 𠀀𠀿",
    "Japanese": "ぁん ァヶ ｱﾝ",
    "Thai": "กฮ",
    "Korean": "가힣 ᄀᄒ",
    "symbols": "!/ :@ ¡¿ \u2010\u2017 ①⑳ \u2102\u2127 ½¾ ▁▃ Ġġ <> \uff21\uff3a",
}
_MARKS = {
    "Latin": "\u0300\u0301\u0308\u0327\u0323",
    "Greek": "\u0301\u0345",
    "Cyrillic": "\u0306\u0308",
    "Arabic": "\u064b\u0651\u0640\u200c",
    "Hebrew": "\u05b0\u05bc\u05c1",
    "Devanagari": "\u093e\u094d\u0902\u200d",
    "Thai": "\u0e31\u0e49\u0e33",
    "Japanese": "\u3099\u309a\uff9e",
    "Korean": "\u1161\u11a8",
}
_EMOJI = (
    "😀",
    "👩\u200d👩\u200d👧",
    "👍🏽",
    "🇩🇪🇫🇷",
    "🏴\U000e0067\U000e0062\U000e007f",
    "❤\ufe0f",
    "1\ufe0f\u20e3",
    "🧑🏿\u200d💻",
)
_DROPPED = (
    "\x01",
    "\x7f",
    "\x80",
    "\u200b",
    "\u200e",
    "\ufeff",
    "\u00ad",
    "\u0301",
    "\ufffd",
    "\x00",
)


def _letters(script):
    pairs = _RANGES[script].split()
    return [chr(code) for first, last in pairs for code in range(ord(first), ord(last) + 1)]


LETTERS = {script: _letters(script) for script in _RANGES}


def draw_word(draw):
    """Draw a word, which is not empty and has no white space."""
    kind = draw.random()
    if kind < 0.1:
        return "".join(draw.choices(_EMOJI, k=draw.randint(1, 2)))
    if kind < 0.15:
        return "".join(draw.choices(_DROPPED, k=draw.randint(1, 2)))
    script = draw.choice(list(LETTERS))
    word = ""
    for letter in draw.choices(LETTERS[script], k=draw.randint(1, 6)):
        word += letter
        if script in _MARKS and draw.random() < 0.3:
            word += draw.choice(_MARKS[script])
        if draw.random() < 0.03:
            word += draw.choice((*_EMOJI, *_DROPPED))
    return word


def draw_sentences(number, seed=0):
    """Draw sentences, each of which is a list of 1 to 9 words."""
    draw = random.Random(seed)
    return [[draw_word(draw) for _ in range(draw.randint(1, 9))] for _ in range(number)]
