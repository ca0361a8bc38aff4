"""The version that is installed."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("relustat")
except PackageNotFoundError:
    __version__ = "0+unknown"
