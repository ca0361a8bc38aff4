"""The public names: what a user may import, and nothing that came with it by chance."""

import importlib
import inspect
from pathlib import Path

import pytest

import relustat

NAMES = {
    "relustat": """
        Activation Bins Counters CountingHardtanh CountingLeakyReLU CountingPReLU CountingReLU
        CountingReLU6 CountingSquaredReLU CountingThreshold EdgeBins Histogram History LinearBins
        LogBins MaxPool1d MaxPool2d MaxPool3d MaxUnpool1d MaxUnpool2d MaxUnpool3d ReLUMaxPool1d
        ReLUMaxPool2d ReLUMaxPool3d ReLUStats Report Switches Watch analysis analyze distributed
        functional reference surgery swap swapped unswap unwatch watch
    """,
    "relustat.analysis": """
        ActivationPatterns ActivationRates GradientNorms Hypercolumns Patch Rates ReceptiveField
        StrongestActivations SwitchInspection Worst activation_patterns by_sigma deconvnet
        deconvnet_grid deconvnet_patches feature_images filter_images hypercolumn_clusters
        hypercolumn_clusters_grid hypercolumns image_grid inspect_switches layer_outputs
        receptive_field receptive_field_grid strongest_activations
    """,
    "relustat.data_pass": """
        analyze
    """,
    "relustat.demo": """
        LabelledImages load_images make_model
    """,
    "relustat.distributed": """
        all_reduce
    """,
    "relustat.functional": """
        count_activation counting_activation counting_relu is_countable max_pool1d max_pool2d
        max_pool3d max_unpool1d max_unpool2d max_unpool3d relu_max_pool1d relu_max_pool2d
        relu_max_pool3d relu_stats
    """,
    "relustat.history": """
        EpochSpan History UnitLifetimes
    """,
    "relustat.nn": """
        CountingHardtanh CountingLeakyReLU CountingPReLU CountingReLU CountingReLU6
        CountingSquaredReLU CountingThreshold MaxPool1d MaxPool2d MaxPool3d MaxUnpool1d MaxUnpool2d
        MaxUnpool3d ReLUMaxPool1d ReLUMaxPool2d ReLUMaxPool3d swap swapped unswap
    """,
    "relustat.ops": """
        Counters Switches
    """,
    "relustat.reference": """
        activation_hash count_activation counting_activation counting_activation_ counting_relu
        counting_relu_ max_pool max_unpool max_unpool_backward
        relu_max_pool
    """,
    "relustat.report": """
        ComparedRow Comparison Finding Report Row Stream histogram_grid merge_files read_records
        unit_figure
    """,
    "relustat.stats": """
        Activation Bins EdgeBins Histogram LinearBins LogBins ReLUStats UnitCounts
    """,
    "relustat.surgery": """
        Change Operation ReviveDead Skipped prune_dead reinitialise_dead
    """,
    "relustat.watching": """
        Watch unwatch watch
    """,
}


@pytest.mark.parametrize("room", NAMES)
def test_public_names(room):
    module = importlib.import_module(room)
    assert sorted(module.__all__) == NAMES[room].split()
    for name in module.__all__:
        assert inspect.ismodule(getattr(module, name)) or getattr(module, name).__doc__


@pytest.mark.parametrize("room", NAMES)
def test_dir_shows_the_public_names(room):
    """And so does what completes names in a notebook."""
    version = ["__version__"] if room == "relustat" else []
    assert dir(importlib.import_module(room)) == sorted([*version, *NAMES[room].split()])


def test_every_room_is_listed():
    top = [path for path in Path(relustat.__file__).parent.iterdir() if path.name[0] not in "_."]
    rooms = {f"relustat.{path.stem}" for path in top if path.suffix == ".py" or path.is_dir()}
    # The command, and a package of which each file has names of its own.
    assert rooms - {"relustat.cli", "relustat.integrations"} == NAMES.keys() - {"relustat"}
