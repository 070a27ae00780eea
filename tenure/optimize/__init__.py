"""Optimize: budgets that cannot be overshot, and cheap answers before dear ones. Pure policy."""

from tenure.optimize.budget import Budget
from tenure.optimize.config import Optimization

__all__ = ["Budget", "Optimization"]
