"""Compression of sorted numbers into closed ranges."""

from __future__ import annotations

__all__ = ["ranges"]


def ranges(seqs: list[int]) -> list[tuple[int, int]]:
    """Return sorted numbers as closed ranges.

    >>> ranges([1, 2, 3, 7])
    [(1, 3), (7, 7)]
    """
    if seqs and seqs[-1] - seqs[0] == len(seqs) - 1:
        return [(seqs[0], seqs[-1])]  # by far the most frequent case
    pairs: list[tuple[int, int]] = []
    for seq in seqs:
        if pairs and pairs[-1][1] == seq - 1:
            pairs[-1] = (pairs[-1][0], seq)
        else:
            pairs.append((seq, seq))
    return pairs
