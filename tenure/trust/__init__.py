"""Trust: what an agent may do, and what a person must allow first. Pure policy."""

from tenure.trust.config import Rule, Trust

__all__ = ["Rule", "Trust"]
