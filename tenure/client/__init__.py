"""The client: start runs, follow them, answer what they ask. Needs only Temporal; lists and accounts need the store too."""

from tenure.client.handle import RunHandle
from tenure.client.system import Tenure

__all__ = ["RunHandle", "Tenure"]
