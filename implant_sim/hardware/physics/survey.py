"""Published converters: percentiles of a survey, and a regression through its best.

The table is what `benchmarks/silicon/adc_percentiles.py` prints for the survey.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from implant_sim.hardware.physics.converter import schreier_energy_j

__all__ = [
    "SPEEDS_HZ",
    "SURVEY",
    "WALDEN_FJ",
    "YEARS",
    "Architecture",
    "Percentile",
    "Years",
    "accelergy_energy_j",
    "speed_class",
    "survey_fom_j",
]

Architecture = Literal["any", "sar"]
Percentile = Literal["p10", "p50", "p90"]
Years = Literal["1997-2025", "1997-2004", "2005-2014", "2015-2025"]

SURVEY = "B. Murmann, ADC Performance Survey 1997-2025"
YEARS: tuple[Years, ...] = ("1997-2025", "1997-2004", "2005-2014", "2015-2025")
SPEEDS_HZ: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "any": (0.0, math.inf),
        "to 100 kHz": (0.0, 1e5),
        "to 1 MHz": (1e5, 1e6),
        "to 10 MHz": (1e6, 1e7),
        "to 100 MHz": (1e7, 1e8),
        "above 100 MHz": (1e8, math.inf),
    }
)
"""Classes by rate of conversion, each without its lower bound and with its upper one. [Hz]"""

WALDEN_FJ: Mapping[tuple[str, str, str], tuple[float, ...]] = MappingProxyType(
    {
        ("any", "1997-2025", "any"): (723, 11.6, 201.0, 5530.0),
        ("any", "1997-2025", "to 100 kHz"): (104, 13.1, 126.0, 4570.0),
        ("any", "1997-2025", "to 1 MHz"): (53, 2.09, 360.0, 26800.0),
        ("any", "1997-2025", "to 10 MHz"): (95, 8.77, 422.0, 9420.0),
        ("any", "1997-2025", "to 100 MHz"): (205, 15.5, 272.0, 5200.0),
        ("any", "1997-2025", "above 100 MHz"): (266, 12.0, 130.0, 4320.0),
        ("any", "1997-2004", "any"): (136, 868.0, 5050.0, 32400.0),
        ("any", "1997-2004", "to 100 kHz"): (11, 1110.0, 3420.0, 30600.0),
        ("any", "1997-2004", "to 1 MHz"): (16, 1140.0, 9980.0, 116000.0),
        ("any", "1997-2004", "to 10 MHz"): (32, 472.0, 3010.0, 23800.0),
        ("any", "1997-2004", "to 100 MHz"): (47, 1110.0, 4010.0, 15200.0),
        ("any", "1997-2004", "above 100 MHz"): (30, 2090.0, 7920.0, 37200.0),
        ("any", "2005-2014", "any"): (281, 31.3, 329.0, 2240.0),
        ("any", "2005-2014", "to 100 kHz"): (28, 8.56, 309.0, 3240.0),
        ("any", "2005-2014", "to 1 MHz"): (17, 2.22, 360.0, 2770.0),
        ("any", "2005-2014", "to 10 MHz"): (38, 97.2, 336.0, 1950.0),
        ("any", "2005-2014", "to 100 MHz"): (100, 35.3, 282.0, 1540.0),
        ("any", "2005-2014", "above 100 MHz"): (98, 40.4, 460.0, 2610.0),
        ("any", "2015-2025", "any"): (306, 6.37, 36.4, 326.0),
        ("any", "2015-2025", "to 100 kHz"): (65, 13.3, 78.6, 908.0),
        ("any", "2015-2025", "to 1 MHz"): (20, 0.59, 22.0, 322.0),
        ("any", "2015-2025", "to 10 MHz"): (25, 5.62, 24.8, 124.0),
        ("any", "2015-2025", "to 100 MHz"): (58, 4.4, 25.2, 163.0),
        ("any", "2015-2025", "above 100 MHz"): (138, 8.5, 38.7, 305.0),
        ("sar", "1997-2025", "any"): (230, 4.29, 30.5, 309.0),
        ("sar", "1997-2025", "to 100 kHz"): (32, 2.49, 48.5, 305.0),
        ("sar", "1997-2025", "to 1 MHz"): (20, 0.59, 15.2, 154.0),
        ("sar", "1997-2025", "to 10 MHz"): (20, 5.34, 10.4, 106.0),
        ("sar", "1997-2025", "to 100 MHz"): (56, 5.0, 30.2, 178.0),
        ("sar", "1997-2025", "above 100 MHz"): (102, 8.22, 41.1, 434.0),
        ("sar", "2005-2014", "any"): (66, 5.23, 46.7, 762.0),
        ("sar", "2005-2014", "to 100 kHz"): (10, 3.09, 20.7, 67.1),
        ("sar", "2005-2014", "to 100 MHz"): (20, 20.2, 39.8, 189.0),
        ("sar", "2005-2014", "above 100 MHz"): (26, 27.6, 213.0, 852.0),
        ("sar", "2015-2025", "any"): (161, 4.01, 25.0, 203.0),
        ("sar", "2015-2025", "to 100 kHz"): (22, 2.62, 78.5, 322.0),
        ("sar", "2015-2025", "to 1 MHz"): (14, 0.492, 17.9, 114.0),
        ("sar", "2015-2025", "to 10 MHz"): (15, 4.6, 9.23, 88.5),
        ("sar", "2015-2025", "to 100 MHz"): (35, 3.19, 14.9, 154.0),
        ("sar", "2015-2025", "above 100 MHz"): (75, 6.37, 25.6, 219.0),
    }
)
"""By architecture, years and speed: converters, and 10, 50, 90 % of the figure of merit. [fJ]"""


def speed_class(rate_hz: float) -> str:
    """The class of `SPEEDS_HZ` that a rate of conversion belongs to.

    Parameters
    ----------
    rate_hz : float
        Conversions of one ADC in a second, above 0. [Hz]

    Returns
    -------
    str
        Its name.

    References
    ----------
    .. [1] Classes of this module.

    Examples
    --------
    >>> speed_class(30e3), speed_class(390e3)
    ('to 100 kHz', 'to 1 MHz')
    """
    bounded = [name for name in SPEEDS_HZ if name != "any"]
    return next(name for name in bounded if rate_hz <= SPEEDS_HZ[name][1])


def survey_fom_j(
    rate_hz: float,
    percentile: Percentile = "p50",
    years: Years = "2015-2025",
    architecture: Architecture = "any",
) -> float | None:
    """Walden figure of merit of published converters of this speed.

    Parameters
    ----------
    rate_hz : float
        Conversions of one ADC in a second. [Hz]
    percentile : str
        `p10`: a tenth of the converters need less; `p90`: a tenth need more.
    years : str
        Years of publication.
    architecture : str
        `sar`: those with a SAR in them; or `any`.

    Returns
    -------
    float or None
        Energy per conversion step; None where fewer than ten converters were published. [J]

    References
    ----------
    .. [1] B. Murmann, "ADC Performance Survey 1997-2025", github.com/bmurmann/ADC-survey.

    Examples
    --------
    >>> f"{1e15 * survey_fom_j(30e3, 'p50', '2015-2025', 'sar'):.0f} fJ"
    '78 fJ'
    >>> survey_fom_j(30e3, "p50", "1997-2004", "sar") is None
    True
    """
    row = WALDEN_FJ.get((architecture, years, speed_class(rate_hz)))
    if row is None:
        return None
    return 1e-15 * row[1 + ("p10", "p50", "p90").index(percentile)]


def accelergy_energy_j(enob: float, rate_hz: float, node_m: float) -> float:
    r"""Energy of one conversion by the regression of Accelergy's ADC plug-in.

    A bound on the Schreier figure of merit, which falls with the rate, and a factor for process
    and resolution:

    .. math:: E = E_S \, e^{26.05 + 1.880 \ln n - 2.829 \ln B - 1.470}, \quad
        \mathrm{FoM} = \min(213.78 - 2.872 \ln f,\ 128.31 + 3.2205 \lceil B \rceil)

    with the process n in nanometres, and E in picojoules for E_S in joules. Its authors call it
    optimistic: the best ADC that there could be. It knows no thermal floor, and crosses it in fine
    processes at high resolution: compare with `thermal_floor_j`.

    Parameters
    ----------
    enob : float
        Effective number of bits, B. [bit]
    rate_hz : float
        Conversions in a second, f. [Hz]
    node_m : float
        Process. [m]

    Returns
    -------
    float
        Energy per conversion. [J]

    References
    ----------
    .. [1] accelergy-adc-plug-in, model fitted to Murmann's survey (MIT licence).

    Examples
    --------
    >>> f"{1e12 * accelergy_energy_j(10, 1e6, 65e-9):.1f} pJ"
    '12.5 pJ'
    """
    best = 213.7806687348118 - 2.8719030399529957 * math.log(rate_hz)
    of_bits = 128.3068287398817 + 3.2205115109775 * min(math.ceil(enob), 20)
    sndr_db = 10 * math.log10(1.5 * 4.0**enob)  # not rounded to 6.02 and 1.76 in the original
    limit_j = schreier_energy_j(sndr_db, min(best, of_bits))
    node_nm = node_m * 1e9
    factor = 26.0496215686518 + 1.8800369206815004 * math.log(node_nm)
    factor += -2.8291256050594527 * math.log(enob) - 1.4702022133784405
    return 1e-12 * limit_j * math.exp(factor)
