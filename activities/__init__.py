"""The activities: everything a run does to the world. Top-level folder; imported as `tenure.activities`."""
