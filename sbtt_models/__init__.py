"""Models of population activity for recordings with gaps, trained on the samples that exist.

Usable on its own: make a :class:`~sbtt_models.signals.MaskedStream`, choose a decoder, and

>>> import sbtt_models
>>> fitted = sbtt_models.fit(decoder, stream, training)  # doctest: +SKIP
>>> rates = fitted.rates(stream)  # expected counts per bin, numpy  # doctest: +SKIP

torch is imported when a decoder is built, not here.
"""

from __future__ import annotations

from typing import Any

__all__ = ["MaskedStream", "Recording", "Training", "Tuning", "fit", "load", "tune"]

_HOME = {
    "MaskedStream": "sbtt_models.signals",
    "Recording": "sbtt_models.signals",
    "Training": "sbtt_models.training",
    "Tuning": "sbtt_models.tuning",
    "fit": "sbtt_models.fitting",
    "load": "sbtt_models.saved",
    "tune": "sbtt_models.population",
}


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562), so that importing a torch-free record stays cheap."""
    if name not in _HOME:
        raise AttributeError(f"module 'sbtt_models' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
