"""Which pixels a unit depends on, and how strongly."""
