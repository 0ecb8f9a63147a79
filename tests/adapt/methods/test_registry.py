"""Methods as they are written in flags."""

import pytest

from fsl_jax.adapt import (
    METHODS,
    TRAINED_METHODS,
    BitFit,
    Full,
    LinearProbe,
    LoRA,
    Method,
    TopLayers,
    parse_method,
)
from fsl_jax.adapt.methods.prompted import InContext, ZeroShot
from fsl_jax.adapt.methods.registry import format_method
from fsl_jax.errors import InputError


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("full", Full()),
        ("linear_probe", LinearProbe()),
        (" bitfit ", BitFit()),
        ("bitfit()", BitFit()),
        ("zero_shot", ZeroShot()),
        ("icl", InContext()),
        ("icl()", InContext()),
        ("top_layers", TopLayers()),
        ("top_layers(3)", TopLayers(3)),
        ("lora", LoRA()),
        ("lora(4)", LoRA(4)),
        ("lora(4, alpha=8)", LoRA(4, 8.0)),
        ("lora(dora=True, start='pissa')", LoRA(dora=True, start="pissa")),
        ("lora(rank=4, targets='mlp/(up|down)$')", LoRA(4, targets="mlp/(up|down)$")),
    ],
)
def test_the_forms_of_a_method(text, method):
    assert parse_method(text) == method
    assert isinstance(method, Method)


@pytest.mark.parametrize("method", [make() for make in METHODS.values()] + [LoRA(3, 1.5, "it's\n")])
def test_a_written_method_reads_back(method):
    assert parse_method(format_method(method)) == method


def test_methods_that_train_nothing_are_left_out_where_adapters_are_listed():
    assert METHODS.keys() - TRAINED_METHODS.keys() == {"zero_shot", "icl"}
    assert all(make().learning_rates and make().rules for make in TRAINED_METHODS.values())


def test_an_integer_for_a_number_becomes_one():
    assert isinstance(parse_method("lora(alpha=8)").alpha, float)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lorra", "unknown method 'lorra'. Did you mean 'lora'"),
        ("lora(rnak=4)", "unknown setting of lora 'rnak'. Did you mean 'rank'"),
        ("bitfit(rank=4)", r"'bitfit\(rank=4\)': bitfit has no settings; write bitfit alone"),
        ("icl(4)", r"'icl\(4\)': icl has no settings; write icl alone"),
        ("icl(shots=4)", r"icl has no settings"),
        ("top_layers(1, 2)", "gives more settings than top_layers has: k"),
        ("lora(4, rank=8)", "gives rank twice"),
        ("lora(rank=4, rank=8)", "gives rank twice"),
        ("lora(rank=4.0)", "rank has to be of type int, found 4.0"),
        ("lora(rank='4')", "rank has to be of type int, found '4'"),
        ("lora(rank=True)", "rank has to be of type int, found True"),
        ("lora(alpha=True)", "alpha has to be of type float, found True"),
        ("lora(dora=1)", "dora has to be of type bool, found 1"),
        ("lora(alpha='8')", "alpha has to be of type float, found '8'"),
        ("lora(targets=mlp)", r"cannot read 'lora\(targets=mlp\)'"),
        ("lora(rank={[]: 1})", "cannot read"),
        ("lora(**{'rank': 4})", "cannot read"),
        ("lora(rank=4", "cannot read"),
        ("", "cannot read"),
        ("lora rank=4", "cannot read"),
        ("os.system('true')", "cannot read"),
        ("top_layers(__import__('os'))", "cannot read"),
        ("lora(rank=0)", "rank = 0: expected a whole number, from 1 to 1,048,576"),
        ("lora(rank=1000000000)", "rank = 1000000000: expected"),
        ("lora(alpha=1e999)", "alpha = inf: expected a finite number"),
        (f"lora(alpha=1{'0' * 400})", "alpha = inf: expected a finite number"),
        ("lora(alpha=1e39)", "alpha = 1e\\+39: expected a finite number"),
        ("(" * 5000, "cannot read"),
        ("lora(" + "-" * 20000 + "1)", "cannot read"),
    ],
)
def test_what_cannot_be_read_says_why(text, message):
    with pytest.raises(InputError, match=message):
        parse_method(text)
