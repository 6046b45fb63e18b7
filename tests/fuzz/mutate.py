"""Inputs made of others: the same random numbers give the same inputs."""

from __future__ import annotations

import random

#: What readers look out for, and what breaks them.
_TOKENS = (
    *(b"0x", b"0", b"-1", b"4294967295", b"18446744073709551615", b"18446744073709551616", b"9" * 400, b"%", b"@"),
    *(b"K", b"G", b"T", b"E", b",", b":", b"$", b"!", b"#", b"- ", b"{", b"}", b"[", b"]", b"|\n", b"&a ", b"*a"),
    *(b"\n", b"\r\n", b"\t", b"\0", b"\x1b[2J", b"\xff", b"\xe2\x80\xae", b"\xc2\xb2", b"\xd9\xa3", b"~", b"null"),
    *(b"start: ", b"end: ", b"size: ", b"pxm: ", b"hotplug: true", b"type: ", b" usable", b"[mem 0x", b"SRAT: Node "),
)
_SMALLEST, _LARGEST = 1, 64


def mutated(numbers: random.Random, seeds: tuple[bytes, ...]) -> bytes:
    """One of `seeds` with a few changes: bytes, tokens, repeated or lost pieces, a piece of another seed."""
    data = bytearray(numbers.choice(seeds))
    for _ in range(numbers.randint(1, 6)):
        at = numbers.randint(0, len(data))
        length = numbers.randint(_SMALLEST, _LARGEST)
        match numbers.randint(0, 5):
            case 0 if data:
                data[min(at, len(data) - 1)] ^= 1 << numbers.randint(0, 7)
            case 1:
                data[at:at] = numbers.choice(_TOKENS)
            case 2:
                data[at : at + numbers.randint(0, 8)] = numbers.choice(_TOKENS)
            case 3:
                del data[at : at + length]
            case 4:
                data[at:at] = data[at : at + length] * numbers.randint(1, 4)
            case _:
                other = numbers.choice(seeds)
                start = numbers.randint(0, len(other))
                data[at:at] = other[start : start + length]
    return bytes(data)
