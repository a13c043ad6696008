"""A calcium indicator: what a spike does to the fluorescence of a cell."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field, model_validator

from sbtt_models.spec import Spec
from sbtt_models.units import Seconds

__all__ = ["Indicator", "calcium"]


class Indicator(Spec):
    """Each spike adds the same transient: a rise, a decay, a peak; and each frame has noise.

    Defaults are medians over four cells of mouse V1 with jGCaMP8m whose spikes were recorded
    (Zhang et al. 2023, Nature 615:884), as ``benchmarks/calcium/calibrate.py`` fits them. The
    same fit gives for jGCaMP8f: rise 19 ms, decay 0.20 s, amplitude 0.28, noise 0.012; for
    jGCaMP8s: 18 ms, 0.50 s, 0.71, 0.023.
    """

    rise_s: Seconds = Field(0.0135, alias="rise", gt=0, le=1)
    decay_s: Seconds = Field(0.257, alias="decay", gt=0, le=60)
    amplitude: float = Field(0.648, gt=0, le=100)
    """Peak of one spike's transient. [dF/F]"""
    noise: float = Field(0.0126, ge=0, le=10)
    """Standard deviation of a frame's noise at one frame a second; it grows with the root of the
    frame rate, as a cell is seen for less time. [dF/F]"""
    amplitude_spread: float = Field(0.33, ge=0, le=3)
    """Standard deviation over cells of the natural logarithm of the amplitude."""
    decay_spread: float = Field(0.30, ge=0, le=3)
    """Likewise, of the decay. Deconvolution goes by one decay for all."""

    @model_validator(mode="after")
    def _rises_faster(self) -> Indicator:
        if self.rise_s >= self.decay_s:
            raise ValueError(
                f"rise {self.rise_s:g} s must be shorter than decay {self.decay_s:g} s"
            )
        return self


def calcium(
    spikes: Int[np.ndarray, " step"], step_s: float, rise_s: float, decay_s: float
) -> Float[np.ndarray, " step"]:
    r"""Sum of transients :math:`(e^{-t/decay} - e^{-t/rise}) / peak`, each of unit peak.

    Parameters
    ----------
    spikes : numpy.ndarray, shape (step,)
        Spikes in each step.
    step_s : float
        Length of a step. [s]
    rise_s, decay_s : float
        Time constants, the rise the shorter one. [s]

    Returns
    -------
    numpy.ndarray, shape (step,)
        At the end of each step; a spike counts from the start of its step.

    Examples
    --------
    >>> one = np.zeros(200, int)
    >>> one[0] = 1
    >>> trace = calcium(one, 0.01, rise_s=0.05, decay_s=0.5)
    >>> round(float(trace.max()), 3), round(float(trace[-1] / trace[-51]), 3)
    (1.0, 0.368)
    """
    from scipy.signal import lfilter  # slow to import, and not needed to validate

    fast, slow = np.exp(-step_s / rise_s), np.exp(-step_s / decay_s)
    peak_s = np.log(decay_s / rise_s) * decay_s * rise_s / (decay_s - rise_s)
    peak = np.exp(-peak_s / decay_s) - np.exp(-peak_s / rise_s)
    # both recursions at once: their difference is of second order
    trace: Float[np.ndarray, " step"] = lfilter(
        [slow - fast], [1.0, -(slow + fast), slow * fast], spikes.astype(float)
    )
    return trace / peak
