"""``relustat demo``: a small CNN is trained, and its ReLUs are shown before and after."""
