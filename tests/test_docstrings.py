"""No docstring begins with a word that makes it a clause and not a sentence."""

import ast
import pathlib

ROOT = pathlib.Path(__file__).parents[1]
FORBIDDEN = {"What", "Whether", "Where", "That", "Of", "Those", "How", "Which"}


def docstrings(tree):
    """Return the line and text of docstrings, those of constants and attributes included."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield node.lineno, text.strip()


def test_docstrings_begin_with_a_verb_or_a_noun():
    problems = [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for folder in ("fsl_jax", "experiments", "benchmarks")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, text in docstrings(ast.parse(path.read_text(encoding="utf-8")))
        if text and text.split()[0].strip(",:") in FORBIDDEN
    ]
    assert not problems, "write these as sentences, functions in the imperative:\n" + "\n".join(
        problems
    )


def test_docstrings_of_all_kinds_are_seen():
    text = '"""Module."""\nX = 1\n"""Constant."""\n\ndef f():\n    """Function."""\n'
    assert [line for line, _ in docstrings(ast.parse(text))] == [1, 3, 6]
