"""``relustat analyze``: its options, and from them to a report."""

from __future__ import annotations

import argparse
from typing import Any

from relustat._messages import many
from relustat.data_pass.counted_pass import CountedPass
from relustat.report.report import Report

from . import data, exit_status, outputs
from .arguments import (
    activations,
    bins,
    device,
    dtype,
    file,
    near_zero,
    positive,
    seconds,
    seed,
    setting,
    share,
)
from .counting import Counted, count
from .data.share import Share
from .interrupts import Interrupts
from .messages import first_line, show, tell
from .models import load_weights, make_model
from .ranks import Ranks, joined
from .resuming import ResumeFile, identity_of

_EXAMPLES = """\
examples:
  relustat analyze my_model.py:make_model --images my_photos --html relus.html
  relustat analyze resnet.py:ResNet --set depth=18 --weights resnet.pt --images val --limit 1000
  relustat analyze my_model.py:Net --data my_data.py:validation_loader --device cuda
  relustat analyze my_lm.py:model --random 64 --shape 512 --npz relus.npz
  relustat analyze my_model.py:Net --npy inputs.npy --save-every 60s --resume pass.pt
  torchrun --nproc-per-node 4 -m relustat analyze my_model.py:Net --images val --npz relus.npz

"""

# What does not decide which counts come out.
_OF_NO_MATTER = {"debug", "quiet", "live", "run", "parser", "device", "workers", "resume"}
_OF_NO_MATTER |= {"print_completion", "save_every", "html", "png", "json", "csv", "npz"}


def add_to(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "analyze",
        help="run your model over data and report what its ReLUs do",
        description="Runs a model over data, without training it, counts every ReLU that it\n"
        "computes, prints a table and writes files. Ctrl-C ends the pass, and what was\n"
        "counted is reported.",
        epilog=_EXAMPLES,
    )
    model = parser.add_argument_group("model")
    model.add_argument(
        "model",
        metavar="MODEL",
        help="file.py:name or package.module:name of a class or a function that makes the model, "
        "or of the model",
    )
    model.add_argument(
        "--set",
        type=setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an argument for it, as Python writes it; can be given again",
    )
    model.add_argument(
        "--weights",
        type=file,
        metavar="FILE",
        help="a state dict, or a checkpoint with one: .safetensors, or what torch.save wrote, of "
        "which only tensors are loaded",
    )
    model.add_argument(
        "--device", type=device, help="such as cpu or cuda:1 (default: a GPU if there is one)"
    )
    model.add_argument(
        "--autocast", type=dtype, metavar="DTYPE", help="bfloat16 or float16 (default: none)"
    )
    model.add_argument(
        "--seed",
        type=seed,
        default=0,
        metavar="N",
        help="seed of random weights and random data (0)",
    )
    data.add_to(parser)
    counting = parser.add_argument_group("counting")
    counting.add_argument(
        "--bins",
        type=bins,
        default="log",
        help="of the histograms: log, log:PER_OCTAVE, linear:LOW:HIGH:NUMBER, edges:E0:E1:..., or "
        "none (log)",
    )
    counting.add_argument(
        "--unit-histograms", action="store_true", help="keep a histogram of each unit"
    )
    counting.add_argument(
        "--every",
        type=positive,
        default=1,
        metavar="N",
        help="count one call in N of each call site (1)",
    )
    counting.add_argument(
        "--activations",
        type=activations,
        default="relu",
        metavar="WHICH",
        help="relu, relu-like (with a knee, such as ReLU6), all, or names: ReLU,SiLU (relu)",
    )
    counting.add_argument(
        "--near-zero",
        type=near_zero,
        default=1e-3,
        metavar="MAGNITUDE",
        help="outputs of smooth activations up to it are inactive (0.001)",
    )
    for name, what in (("only", "count these call sites alone"), ("skip", "do not count these")):
        counting.add_argument(
            f"--{name}",
            action="append",
            metavar="PATTERN",
            help=f"{what}: a glob of names, such as 'layer1.*'; can be given again",
        )
    shared = parser.add_argument_group("long passes and several processes")
    shared.add_argument(
        "--resume",
        type=file,
        metavar="FILE",
        help="keep the counts in this file; if it is there, go on after its last batch",
    )
    shared.add_argument(
        "--save-every",
        type=seconds,
        metavar="TIME",
        help="write the --resume file this often: 60s, 5m, 1h (60s)",
    )
    shared.add_argument(
        "--shard",
        type=share,
        default=Share(),
        metavar="I/N",
        help="count the I-th of N parts of the data; `relustat merge` adds them up",
    )
    outputs.add_to(parser)
    parser.add_argument(
        "--live", action="store_true", help="show the table while it grows (needs rich)"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


def run(options: argparse.Namespace) -> int:
    """Counts, and writes and prints what was counted; returns the exit status."""
    if options.save_every is not None and options.resume is None:
        raise ValueError("--save-every: --resume must name the file to write, got none")
    with joined() as ranks:
        is_first = ranks.index == 0
        interrupts = Interrupts(is_quiet=options.quiet or not is_first)
        with interrupts.caught():
            return _counted_and_written(options, ranks, interrupts)


def _counted_and_written(options: argparse.Namespace, ranks: Ranks, interrupts: Interrupts) -> int:
    is_first = ranks.index == 0
    # Known before the pass, and not after it.
    inputs = options.resume, options.weights, options.npy
    files = outputs.Outputs(options, *inputs) if is_first else None
    counted, report = _counted(options, ranks, interrupts)
    if files is not None:
        what = _described(options, counted)
        for name in files.write(report, what):
            tell(f"Wrote {name}", quiet=options.quiet)
        if not options.quiet:
            tell(what)
            show(report)
    return exit_status.INTERRUPTED if counted.is_interrupted else 0


def _described(options: argparse.Namespace, counted: Counted) -> str:
    """What made a report, as its title."""
    weights = "" if options.weights is None else f", weights {options.weights}"
    samples = many(counted.done.samples, "sample")
    return f"{options.model}{weights}: {samples} in {many(counted.done.batches, 'batch')}"


def _counted(
    options: argparse.Namespace, ranks: Ranks, interrupts: Interrupts
) -> tuple[Counted, Report]:
    model = make_model(options.model, dict(options.set), options.seed)
    if options.weights is not None:
        load_weights(model, options.weights)
    own_share = options.shard.part(ranks.index, ranks.count)
    batches = data.batches_of(options, model, own_share)
    resume = None
    if options.resume is not None:
        outputs.check_writable("--resume", options.resume)
        options.resume.parent.mkdir(parents=True, exist_ok=True)
        arguments = {
            f"--{name.replace('_', '-')}": str(value)
            for name, value in vars(options).items()
            if name not in _OF_NO_MATTER
        }
        arguments["number of batches"] = str(batches.total)
        arguments["data"] = batches.identity
        arguments["weights"] = identity_of(model)
        resume = ResumeFile(options.resume, own_share, arguments, options.save_every or 60.0)
    target = options.device or ranks.local_device
    try:
        model.to(target)
    except Exception as error:
        raise ValueError(
            f"--device: the model cannot be on {target} ({first_line(error)})"
        ) from error
    counted_pass = CountedPass(
        model,
        device=target,
        autocast=options.autocast,
        bins=options.bins,
        unit_histograms=options.unit_histograms,
        every=options.every,
        activations=options.activations,
        near_zero=options.near_zero,
        only=options.only,
        skip=options.skip,
    )
    with counted_pass:
        is_shown = ranks.index == 0 and not options.quiet
        counted = count(
            counted_pass, batches, resume, interrupts, is_shown=is_shown, is_live=options.live
        )
        if ranks.count > 1:
            counted = Counted.sum(ranks.gathered(counted))
            ranks.all_reduce(counted_pass.watch)
        if not counted.done.samples and not counted.is_interrupted and options.shard.count == 1:
            found = "; ".join(filter(None, ["none", counted.left_out]))
            raise ValueError(f"analyze: the data must have an input, got {found}")
        report = counted_pass.watch.report().with_warnings(counted.warnings)
        if not report and counted.done.samples and (options.only or options.skip):
            raise ValueError(
                f"--only and --skip must leave a call site, got none: {'; '.join(report.warnings)}"
            )
    return counted, report
