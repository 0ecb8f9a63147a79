"""The part of a config that every family has, which is all that other code may rely on."""

from typing import Any, ClassVar, Protocol, runtime_checkable


@runtime_checkable
class Config(Protocol):
    """The config of a model of any family: a frozen dataclass of its sizes.

    A config may have more fields, which the family alone reads. One that has `attention` lets users
    choose how attention is computed; without it the family has one implementation of its own.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def family(self) -> str:
        """The name of the family, as in `model_type` of `config.json`."""

    @property
    def vocab_size(self) -> int:
        """The number of rows of the word embedding, `V`."""

    @property
    def hidden_size(self) -> int:
        """The model width, `D`."""

    @property
    def mlp_size(self) -> int:
        """The width inside the multilayer perceptron."""

    @property
    def num_layers(self) -> int:
        """The number of layers, `L`; of the encoder's layers if there is a decoder too."""

    @property
    def num_heads(self) -> int:
        """The number of attention heads, `H`."""

    @property
    def num_kv_heads(self) -> int:
        """The number of heads of keys and values, `H_kv`."""

    @property
    def head_dim(self) -> int:
        """The width of a head, `Dh`."""

    @property
    def max_length(self) -> int:
        """The longest sequence that the model was trained for."""

    @property
    def is_decoder(self) -> bool:
        """True for a decoder alone, whose tokens see those before them."""

    @property
    def is_encoder_decoder(self) -> bool:
        """True for an encoder and a decoder, which has `decoder_start_token` in its config."""

    def layers_of(self, path: str) -> int:
        """Return the number of layers in the stack that the leaf at `path` belongs to."""
