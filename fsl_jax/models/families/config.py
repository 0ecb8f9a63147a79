"""The part of a config that every family has. Other code relies on nothing else."""

from typing import Any, ClassVar, Protocol, runtime_checkable


@runtime_checkable
class Config(Protocol):
    """The config of a model of any family: a frozen dataclass of its sizes.

    A config may have more fields, which only the family reads. If it has a field `attention`, users
    can choose the implementation of attention; otherwise the family has its own.
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
        """The number of layers, `L`; in an encoder-decoder, of the encoder's layers."""

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
        """True for a decoder-only model, whose tokens see the tokens before them."""

    @property
    def is_encoder_decoder(self) -> bool:
        """True for an encoder-decoder, whose config has a `decoder_start_token`."""

    def layers_of(self, path: str) -> int:
        """Return the number of layers in the stack that the leaf at `path` belongs to."""
