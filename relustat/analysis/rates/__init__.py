"""How often the units of a layer are active."""
