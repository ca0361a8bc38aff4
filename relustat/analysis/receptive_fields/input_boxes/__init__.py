"""Which part of an input a part of an output depends on, by geometry alone."""

from .input_box import GeometryCalls, InputBox, input_box

__all__ = ["GeometryCalls", "InputBox", "input_box"]
