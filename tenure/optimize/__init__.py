"""Optimize: budgets that cannot be overshot, and cheap answers before dear ones. Pure policy."""

from tenure.optimize.budget import Budget
from tenure.optimize.config import Optimization, Patterns
from tenure.optimize.rules import CacheRule

__all__ = ["Budget", "CacheRule", "Optimization", "Patterns"]
