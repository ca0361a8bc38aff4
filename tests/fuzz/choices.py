"""Choices read from bytes: one draw for each call, where a draw for each choice takes longer.

Hypothesis makes the bytes, shrinks and stores them. No bytes left means the first choice, which is
the simplest.
"""

from hypothesis import strategies as st


class Choices:
    """Reads choices from bytes, one after the other."""

    def __init__(self, text):
        self.text, self.at = text, 0

    def below(self, number):
        """An integer from 0 on, of up to 256."""
        return self.bits(1) % number

    def of(self, values):
        return values[self.below(len(values))]

    def one_in(self, number):
        """Whether something that is rare happens."""
        return self.below(number) == number - 1

    def bits(self, size=4):
        """An integer of so many bytes."""
        found = int.from_bytes(self.text[self.at : self.at + size], "little")
        self.at += size
        return found

    def bytes(self, size):
        """Bytes to fill something with; at least one."""
        found = self.text[self.at : self.at + size] or b"\0"
        self.at += size
        return found


def text(size):
    """Bytes for choices. Hypothesis would make few of them, were they not all asked for."""
    return st.binary(min_size=size, max_size=size)
