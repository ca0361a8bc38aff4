"""The error on the import of a module of relustat 0.1.0: it says where its names are now."""

from __future__ import annotations

import importlib.abc
import sys
from collections.abc import Sequence
from types import ModuleType

_ANALYSES = (
    *("activation_patterns", "activation_rates", "deconvnet", "deconvnet_patches"),
    *("gradient_norms", "hypercolumn_clusters", "hypercolumns", "hypercolumns_plot", "images"),
    *("layers", "receptive_field", "receptive_field_plot", "strongest"),
)

# Only modules with names for users.
_NEW = {
    "relustat.bins": "relustat.stats",
    "relustat.counters": "relustat.ops",
    "relustat.demo_data": "relustat.demo",
    "relustat.histogram": "relustat.stats",
    "relustat.max_pooling": "relustat.functional",
    "relustat.merge_files": "relustat.report",
    "relustat.modules": "relustat.nn",
    "relustat.plotting": "relustat.report",
    "relustat.pool_modules": "relustat.nn",
    "relustat.pooling_reference": "relustat.reference",
    "relustat.swapping": "relustat.nn",
    "relustat.switches": "relustat.ops",
    **{f"relustat.analysis.{name}": "relustat.analysis" for name in _ANALYSES},
}


class _Moved(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        del path, target
        if fullname in _NEW:
            raise ImportError(
                f"{fullname} has moved: import its names from {_NEW[fullname]}", name=fullname
            )


def tell_where() -> None:
    """Makes Python ask here last, for a module that it finds nowhere else."""
    sys.meta_path.append(_Moved())
