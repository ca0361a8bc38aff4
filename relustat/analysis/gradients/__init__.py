"""Norms of gradients by layer and training step."""
