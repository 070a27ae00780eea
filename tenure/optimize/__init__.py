"""Optimize: budgets that cannot be overshot, and cheap answers before dear ones. Pure policy; its first resident is the budget ledger."""
