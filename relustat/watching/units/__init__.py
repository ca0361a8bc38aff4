"""Which dimension of each tensor has the units of the layer that made it."""
