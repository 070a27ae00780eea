"""Optimize: budgets that cannot be overshot, and cheap answers before dear ones. Pure policy."""
