"""Counting every ReLU of a model, without a change to the model."""
