import codecs

import pytest

from fsl_jax.data.readers.encodings import decode, marked_encoding

TEXTS = {
    "gb18030": "标题,标签\n今天天气很好,好\n",
    "big5": "標題,標籤\n今天天氣很好,好\n",
    "cp932": "本文,ラベル\n今日は天気がいいです,良い\n",
    "euc_kr": "본문,라벨\n오늘 날씨가 좋네요,좋음\n이 영화는 지루하다,나쁨\n",
    "cp1250": "tekst,etykieta\nDzisiaj jest ładna pogoda, idę na łąkę\n",
    "cp1251": "слова,знак\nЖдём тёплый июльский дождь,да\n",
    "cp1252": "texte\nLe café est là, “ici”, et le garçon aussi\n",
    "cp1253": "λέξη\nΔένδρα, ξύλα, ψάρια, φθινόπωρο, λίμνη\n",  # noqa: RUF001
    "koi8_r": "слова,знак\nДруг ждёт письмо из Киева каждый день,да\n",  # noqa: RUF001
}


@pytest.mark.parametrize("encoding", TEXTS)
def test_usual_encodings_are_found_out(encoding):
    assert decode(TEXTS[encoding].encode(encoding)) == (TEXTS[encoding], encoding)


def test_latin_1_goes_by_the_name_of_what_contains_it():
    assert decode("Übel, schön\n".encode("latin-1")) == ("Übel, schön\n", "cp1252")


@pytest.mark.parametrize("text", ["text,label\none,a\n", TEXTS["cp932"], TEXTS["gb18030"]])
@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
def test_utf16_is_found_out_without_a_mark(text, order):
    assert decode(text.encode(order)) == (text, order)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_mark_tells_the_encoding_and_is_no_text(encoding):
    content = "天气 ü".encode(encoding)
    assert marked_encoding(content) == encoding
    text, name = decode(content)
    assert text == "天气 ü"
    assert name == ("utf-8" if encoding == "utf-8-sig" else encoding)
    assert marked_encoding(b"plain") is None


def test_an_encoding_that_is_given_holds_whatever_the_contents():
    assert decode(b"caf\xe9", "cp1250") == ("café", "cp1250")
    assert decode(codecs.BOM_UTF8 + b"text", "UTF8") == ("text", "utf-8")
    with pytest.raises(ValueError, match=r"^line 2: not UTF-8 .*encoding may name another"):
        decode(b"one\ncaf\xe9", "utf-8")


def test_utf8_with_a_few_broken_characters_is_no_other_encoding():
    with pytest.raises(ValueError, match=r"^line 3: not UTF-8"):
        decode("ü\nä\n".encode() + b"\xe9\n")


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(ValueError, match=r"^line 1: not UTF-8"):
        decode(bytes(range(128, 256)) * 3)
