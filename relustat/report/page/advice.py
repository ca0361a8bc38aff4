"""What the warnings mean, and what people do about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from relustat.report.findings import Finding


class Advice(NamedTuple):
    """What one kind of warning means.

    Attributes:
        title: its name.
        meaning: what it says of the network.
        remedies: what people do about it, with sources.
    """

    title: str
    meaning: str
    remedies: tuple[str, ...]


_DEAD_REMEDIES = (
    "Lower the learning rate, or warm it up: one large step can push a unit's bias so far below 0 "
    "that no input reaches it again.",
    "Initialise weights for ReLUs (Kaiming normal; He et al., 2015) and biases with 0.",
    "Normalise before the ReLU (batch norm, Ioffe and Szegedy, 2015; layer or group norm): it "
    "brings inputs back around 0.",
    "Use a leaky variant (LeakyReLU, Maas et al., 2013; PReLU; ELU; GELU), which has a gradient "
    "below 0, too.",
    "Draw the weights of dead units again during training (ReDo; Sokar et al., 2023), or remove "
    "the units: the outputs stay the same.",
    "Count more calls before you act: a unit can be silent for one kind of inputs only.",
)

_ADVICE = {
    "dead": Advice(
        "Dead units",
        "All outputs of the unit were 0 since counting began. Its gradient is 0, too, so its own "
        "weights do not learn. It can fire again only if the layers before it change its inputs.",
        _DEAD_REMEDIES,
    ),
    "died": Advice(
        "Units that died",
        "The unit gave other outputs than 0 at first, and only zeros of late. The call in which it "
        "fell silent often points to a step that was too large.",
        _DEAD_REMEDIES,
    ),
    "death rate": Advice(
        "High death rate",
        "In an average call most units give only zeros, though most fire in some calls. The layer "
        "uses few of its units at a time.",
        (
            "Small batches make it high. Look at the share of zeros and at the units that are "
            "dead now.",
            "Sparse codes are like that by design. Otherwise treat it as a layer that is about "
            "to die: learning rate, initialisation, normalisation.",
        ),
    ),
    "saturated": Advice(
        "Saturated units",
        "All inputs of the unit lay at the upper knee or above it. Its output is the same number "
        "for all of them, and its gradient is 0, as that of a dead unit.",
        (
            "Normalise before the activation, and look at the scale of the weights before it.",
            "Lower the learning rate; or take an activation without an upper knee.",
        ),
    ),
    "nan": Advice(
        "NaN inputs",
        'NaN means "not a number". A ReLU passes it on, and the loss becomes NaN, too. It is not '
        "counted as zero, so a call site with NaNs has a low share of zeros.",
        (
            "Look for the first call site in the table that has some: the layer before it made "
            "them.",
            "Lower the learning rate, clip gradients, look for divisions by 0 and logarithms of "
            "0; in float16 use loss scaling, or bfloat16.",
            "torch.autograd.set_detect_anomaly(True) shows which operation made the first one.",
        ),
    ),
    "outside the bins": Advice(
        "Inputs outside the bins",
        "Over 1 % of the inputs were below the first edge or above the last one. They are counted, "
        "but pictures leave them out, and a quantile that lies among them is infinite.",
        (
            "Count with bins=relustat.LogBins(), the default, which needs no range, or widen "
            "yours.",
            "Inputs this large are a finding of their own: look at normalisation and "
            "initialisation.",
        ),
    ),
    "not counted": Advice(
        "Not counted",
        "The call was seen, but its kind or its input cannot be counted. The reason is beside "
        "its name.",
        (),
    ),
    "left out": Advice(
        "Left out",
        "These call sites were called, and were not counted, because only= or skip= says so.",
        (),
    ),
    "never called": Advice(
        "Never called",
        "The model has this ReLU, and no input reached it.",
        ("It may belong to a branch for training only, or to a layer that is skipped.",),
    ),
    "other activation": Advice(
        "Other activations",
        "The model computes activations that were not chosen. They are named and not counted.",
        ("relustat.watch(model, activations=...) takes the choice that is beside each name.",),
    ),
    "nothing": Advice(
        "No ReLU was seen",
        "Nothing was counted.",
        (
            "If the model has other activations, call relustat.watch(model, activations='all').",
            "Call the watched model itself, within the with block.",
            "For other methods than the model's call use with watch.counting():.",
        ),
    ),
    "other": Advice("Other", "What else was said while counting.", ()),
}


class Explained(NamedTuple):
    """A kind of warning, what it means, and the warnings of this kind."""

    kind: str
    advice: Advice
    findings: tuple[Finding, ...]


def explained(findings: Sequence[Finding]) -> list[Explained]:
    """The warnings by kind, in the order in which the kinds come."""
    by_kind: dict[str, list[Finding]] = {}
    for finding in findings:
        by_kind.setdefault(finding.kind, []).append(finding)
    return [Explained(kind, _ADVICE[kind], tuple(found)) for kind, found in by_kind.items()]
