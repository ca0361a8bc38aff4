"""Which part of an input a part of an output depends on, by geometry alone.

The autograd graph is walked from a layer's output to the input. Each node is asked which part of
its input the wanted part of its output needs. The answer comes from a rule for its kind
(:mod:`relustat.analysis.model_run.node_kinds`), from its saved arguments and from its shapes; no
value counts. The parts are regions: the wanted indices of each dimension. Where two ways meet,
their regions are united; the result is the smallest box that holds the region of the input.

The box is exact if no weight is 0 and nothing cancels. A gradient cannot tell as much: it is 0
where a ReLU is, where values cancel, and it knows no map beyond its borders.
"""

from .input_box import GeometryCalls, InputBox, input_box

__all__ = ["GeometryCalls", "InputBox", "input_box"]
