"""MurmurHash3 for x86, 32 bits (Appleby 2011), seed 0: the dimension of a word in BM25 vectors."""

_MASK = 0xFFFFFFFF
_C1, _C2 = 0xCC9E2D51, 0x1B873593


def murmur3_32(data: bytes) -> int:
    """The hash as a signed number, -2**31 … 2**31 - 1."""
    value = 0
    whole = len(data) & ~3
    for offset in range(0, whole, 4):
        value ^= _scramble(int.from_bytes(data[offset : offset + 4], "little"))
        value = (_rotate(value, 13) * 5 + 0xE6546B64) & _MASK
    if whole < len(data):
        value ^= _scramble(int.from_bytes(data[whole:], "little"))
    value ^= len(data)
    value = ((value ^ value >> 16) * 0x85EBCA6B) & _MASK
    value = ((value ^ value >> 13) * 0xC2B2AE35) & _MASK
    value ^= value >> 16
    return value - (1 << 32) if value >> 31 else value


def _scramble(block: int) -> int:
    return (_rotate((block * _C1) & _MASK, 15) * _C2) & _MASK


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & _MASK
