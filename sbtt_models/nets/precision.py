"""Mixed precision: what autocast may round, and what stays in float32."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

__all__ = ["in_float32"]


def in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run a function in float32 inside of autocast, too.

    For gradients written by hand: they keep buffers of one type, and their recurrences add up
    rounding errors over all bins.
    """

    @wraps(function)
    def inside(*arguments: Any, **named: Any) -> Any:
        device = next(v for v in arguments if isinstance(v, Tensor)).device.type
        if not torch.is_autocast_enabled(device):
            return function(*arguments, **named)
        wide = (
            v.float() if isinstance(v, Tensor) and v.is_floating_point() else v for v in arguments
        )
        with torch.autocast(device, enabled=False):
            return function(*wide, **named)

    return inside
