"""Trust: what an agent may do, and what a person must allow first. Pure policy."""
