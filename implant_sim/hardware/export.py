"""Schedules as other machines read them: a table, a ROM image, commands of an Intan RHD chip.

Each format is read back here, too: what is written and read again is the same mask.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from jaxtyping import Bool

from sbtt_models.errors import DataError

__all__ = ["from_intel_hex", "from_rom", "from_table", "intel_hex", "period", "rom", "table"]

Mask = Bool[np.ndarray, "step channel"]

_MAGIC = b"IMPLROM1"
_HEADER = struct.Struct("<8sIIdI")  # magic, steps, channels, step [s], CRC-32 of the rows
_RECORD_BYTE = 16  # data of one line of Intel HEX


def period(sampled: Mask) -> int:
    """Find after how many steps a mask repeats itself, as far as it goes.

    Parameters
    ----------
    sampled : numpy.ndarray, shape (step, channel)
        The mask.

    Returns
    -------
    int
        The fewest steps; all of them if it is not seen twice.

    Examples
    --------
    >>> period(np.tile(np.eye(3, dtype=bool), (4, 1))[:-1])
    3
    """
    _, rows = np.unique(np.packbits(sampled, axis=1), axis=0, return_inverse=True)
    names = rows.ravel().tolist()
    border = [0] * len(names)  # Knuth, Morris, Pratt: longest beginning that is also an end
    for i in range(1, len(names)):
        k = border[i - 1]
        while k and names[i] != names[k]:
            k = border[k - 1]
        border[i] = k + (names[i] == names[k])
    found = len(names) - border[-1] if names else 0
    return found if 2 * found <= len(names) else len(names)


def table(sampled: Mask) -> str:
    """Write a mask as CSV: the heading ``step,channel`` and a line for each sample.

    `kind: file` reads it.

    Parameters
    ----------
    sampled : numpy.ndarray, shape (step, channel)
        The mask.

    Returns
    -------
    str
        Its first two lines say how many steps and channels there are.
    """
    n_steps, n_channels = sampled.shape
    lines = [f"# steps: {n_steps}", f"# channels: {n_channels}", "step,channel"]
    lines += [f"{step},{channel}" for step, channel in np.argwhere(sampled).tolist()]
    return "\n".join(lines) + "\n"


def from_table(text: str) -> Mask:
    """Read what :func:`table` wrote.

    Raises
    ------
    DataError
        For any other text.
    """
    lines = text.splitlines()
    try:
        n_steps, n_channels = (int(line.split(":")[1]) for line in lines[:2])
        pairs = [tuple(map(int, line.split(","))) for line in lines[3:]]
        sampled = np.zeros((n_steps, n_channels), dtype=np.bool_)
        for step, channel in pairs:
            if min(step, channel) < 0:
                raise ValueError(f"{step},{channel} is below 0")
            sampled[step, channel] = True
    except (ValueError, IndexError) as error:
        raise DataError(f"table: is none: {error}") from error
    return sampled


def rom(sampled: Mask, step_s: float) -> bytes:
    """Write a mask as the image of a read-only memory.

    Little-endian. 28 bytes of header: ``IMPLROM1``, the number of steps and of channels (uint32
    each), the length of a step in seconds (float64), the CRC-32 of the rows (uint32). Then a row
    for each step, in whole bytes: channel c is bit c % 8, from the lowest, of byte c // 8.

    Parameters
    ----------
    sampled : numpy.ndarray, shape (step, channel)
        The mask: one period of it, if it has one.
    step_s : float
        Length of a step. [s]

    Returns
    -------
    bytes
    """
    rows = np.packbits(sampled, axis=1, bitorder="little").tobytes()
    return _HEADER.pack(_MAGIC, *sampled.shape, step_s, zlib.crc32(rows)) + rows


def from_rom(image: bytes) -> tuple[Mask, float]:
    """Read an image of :func:`rom`: the mask and the length of a step. [s]

    Raises
    ------
    DataError
        For an image that is cut, damaged, or none.
    """
    if len(image) < _HEADER.size or not image.startswith(_MAGIC):
        raise DataError(f"ROM image: {len(image)} bytes that do not begin with {_MAGIC.decode()}")
    _, n_steps, n_channels, step_s, crc = _HEADER.unpack_from(image)
    rows, width = image[_HEADER.size :], -(-n_channels // 8)
    if len(rows) != n_steps * width or zlib.crc32(rows) != crc:
        raise DataError(
            f"ROM image: {len(rows)} bytes of rows, {n_steps} x {width} announced"
            + (", with another CRC" if len(rows) == n_steps * width else "")
        )
    packed = np.frombuffer(rows, dtype=np.uint8).reshape(n_steps, width)
    bits = np.unpackbits(packed, axis=1, count=n_channels, bitorder="little")
    return bits.astype(np.bool_), float(step_s)


def intel_hex(image: bytes) -> str:
    """Write bytes as Intel HEX: 16 to a line, addresses of 32 bits from 0.

    References
    ----------
    .. [1] Intel, "Hexadecimal Object File Format Specification", revision A, 1988.

    Examples
    --------
    >>> intel_hex(b"abc").splitlines()
    [':020000040000FA', ':03000000616263D7', ':00000001FF']
    """
    lines = []
    for at in range(0, len(image), _RECORD_BYTE):
        if at % 0x10000 == 0:
            lines.append(_record(0, 4, struct.pack(">H", at >> 16)))
        lines.append(_record(at & 0xFFFF, 0, image[at : at + _RECORD_BYTE]))
    return "\n".join([*lines, _record(0, 1, b"")]) + "\n"


def _record(address: int, kind: int, data: bytes) -> str:
    line = struct.pack(">BHB", len(data), address, kind) + data
    return f":{(line + bytes([-sum(line) & 0xFF])).hex().upper()}"


def from_intel_hex(text: str) -> bytes:
    """Read Intel HEX whose data follow one another from address 0.

    Raises
    ------
    DataError
        For a damaged line, a gap, or a missing end.
    """
    image, upper = bytearray(), 0
    for number, line in enumerate(text.split(), 1):
        try:
            record = bytes.fromhex(line.removeprefix(":"))
            length, address, kind = struct.unpack_from(">BHB", record)
        except (ValueError, struct.error) as error:
            raise DataError(f"Intel HEX: line {number} is no record") from error
        data = record[4:-1]
        if not line.startswith(":") or len(data) != length or sum(record) & 0xFF:
            raise DataError(f"Intel HEX: line {number} is damaged: length or checksum")
        if kind == 1:
            return bytes(image)
        if kind == 4 and length == 2:
            upper = int.from_bytes(data, "big") << 16
        elif kind == 0 and upper + address == len(image):
            image += data
        else:
            raise DataError(f"Intel HEX: line {number}: type {kind} at {upper + address:#x}")
    raise DataError("Intel HEX: the last line is missing")
