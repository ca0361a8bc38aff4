"""relustat's counts in tools of other packages. Each module needs the package of its name."""
