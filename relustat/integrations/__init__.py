"""relustat's counts in other packages' tools; each module here needs the package it is named by."""
