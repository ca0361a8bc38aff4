"""The pixels on which a unit depends, and how strongly."""
