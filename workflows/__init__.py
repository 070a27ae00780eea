"""The workflows. Top-level folder; imported as `tenure.workflows`."""
