"""Trust: what an agent may do, and what a person must allow first. Pure policy."""

from tenure.trust.config import Rule, Trust
from tenure.trust.terms import Approval

__all__ = ["Approval", "Rule", "Trust"]
