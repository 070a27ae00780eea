"""Learn: repeated requests become tested, approved, canaried capabilities. Pure policy."""

from tenure.learn.config import Capabilities, Deployment, Learning, Patterns, SuccessCriteria

__all__ = ["Capabilities", "Deployment", "Learning", "Patterns", "SuccessCriteria"]
