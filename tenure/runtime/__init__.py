"""Runtime: the adapters between Tenure's values and the world: store, Temporal, Claude, files, settings."""
