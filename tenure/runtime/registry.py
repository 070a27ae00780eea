"""The agents this worker serves, loaded from `MODULE[:ATTR]`, and the announcement that makes them startable."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType

from tenure.errors import ConfigError
from tenure.spec import AgentSpec


class Registry:
    """Agents by name. Raises ConfigError when two have the same one."""

    def __init__(self, agents: Iterable[AgentSpec]) -> None:
        self.agents: dict[str, AgentSpec] = {}
        for agent in agents:
            if agent.name in self.agents:
                raise ConfigError(
                    f"two agents are named {agent.name!r}: rename one, or serve them by different workers"
                )
            self.agents[agent.name] = agent

    def serving(self, name: str, fingerprint: str) -> AgentSpec | None:
        """The agent, if this worker serves it under exactly that fingerprint."""
        agent = self.agents.get(name)
        return agent if agent is not None and agent.fingerprint == fingerprint else None


def load(reference: str) -> list[AgentSpec]:
    """The agents of `MODULE`, or the one at `MODULE:ATTR`; MODULE may be a path to a .py file. Raises ConfigError."""
    module_name, _, attribute = reference.partition(":")
    module = import_module(module_name)
    if attribute:
        found = getattr(module, attribute, None)
        if not isinstance(found, AgentSpec):
            raise ConfigError(f"--agents {reference}: {attribute!r} in {module_name!r} is {found!r}, not an Agent")
        return [found]
    return _all_of(vars(module), reference)


def _all_of(names: Mapping[str, object], reference: str) -> list[AgentSpec]:
    agents = [value for value in names.values() if isinstance(value, AgentSpec)]
    if not agents:
        raise ConfigError(f"--agents {reference}: the module defines no Agent at its top level")
    return agents


def import_module(name: str) -> ModuleType:
    """The module of that name, or of that path to a .py file. Raises ConfigError."""
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return _import_file(Path(name)) if name.endswith(".py") else importlib.import_module(name)
    except Exception as error:  # the user's own module may raise anything; it must be named, not traced
        raise ConfigError(f"--agents {name}: the module cannot be imported: {type(error).__name__}: {error}") from error


def _import_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigError(f"no such file: {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
