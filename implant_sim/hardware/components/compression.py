"""How the values of one bin become bits."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from implant_sim.hardware.components.base import Component, Price, Source
from implant_sim.hardware.physics.constants import Constants
from sbtt_models.units import Joules

__all__ = ["Compression"]


class Compression(Component):
    """The code of the payload. Its bits are counted on the counts that are really sent.

    `raw` sends the feature as it is; `counts` a fixed width; `bitmap` one bit for each sampled
    channel, if none ever has two spikes in a bin; `aer` the number of spikes, then the address of
    each among the channels sampled; `rice` a Golomb-Rice code; `huffman` a canonical Huffman code
    of all channels together; `entropy` is the bound of independent counts, no code, so `auto`, the
    cheapest of the others, never takes it. The receiver knows width, shift and table beforehand.

    Where a schedule lets the data decide what is sent, each bin also says whose values it holds,
    by addresses (`aer`) or by a bit for each electrode (`bitmap`): the cheaper of the two, or the
    one that `kind` names, with the cheapest of `counts`, `rice` and `huffman` behind it.
    """

    default_sources: ClassVar[Mapping[str, Source]] = MappingProxyType(
        {
            "per_value_j": Source(
                text="five 32-bit additions of 0.21 pJ, 40 nm (Aladdin table of hwcomponents)",
                kind="derived",
            )
        }
    )

    price_fields: ClassVar[frozenset[str]] = Component.price_fields | {"per_value_j"}

    kind: Literal["auto", "raw", "counts", "bitmap", "aer", "rice", "huffman", "entropy"] = "auto"
    per_value_j: Joules = Field(1e-12, ge=0)
    """Energy to encode one value."""

    @override
    def prices(self, constants: Constants) -> Mapping[str, Price]:
        return {"compress": Price(self.per_value_j, ("per_value_j",))}
