"""How an analysis follows a model: its layers, its calls, its batches."""
