"""Activations of all layers above one pixel."""
