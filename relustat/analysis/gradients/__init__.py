"""Norms of gradients by layer in the course of a training."""
