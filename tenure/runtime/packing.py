"""Packing: what comes of a pack where it is unpacked: a proposal to be tested on the runs of this place, or a refusal.

Rules of this file: nothing in a pack is believed for its signature. Who signed must be vouched for here and now; the program must
be one that this very build of the agent may run; that it does what people do here is for the test to say.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tenure.errors import BadInput
from tenure.learn.capability import Capability
from tenure.learn.recording import Recording
from tenure.learn.subset import faults
from tenure.learn.wording import behaviour, overlooked
from tenure.learn.written import Packed, names_in
from tenure.runtime import approving, packs
from tenure.runtime.store import Connection
from tenure.spec import AgentSpec

PACKED = "what it checks, and who wrote it, is as the pack says: the program is what counts, read it as you would a stranger's"


def unpacked(
    db: Connection, root: Ed25519PublicKey, agent: AgentSpec, tenant: str, token: str, recordings: Sequence[Recording]
) -> Packed:
    """What the pack proposes for the agent of the tenant; `recordings` are its verified runs. Raises BadInput, AnswerRefused."""
    packer = approving.approver(db, root, packs.claimed_packer(token), tenant, ())
    _, key = approving.signer(db, root, packer.principal, tenant)
    found = packs.read(token, key)
    if why := _unfit(found.capability, agent):
        raise BadInput(f"{found.capability.id} is not taken in: {why}")
    kind = [run.run for run in recordings if behaviour(run) == tuple(found.capability.changes)]
    elsewhere = (
        f"{found.by} packed it: it was learned elsewhere, of {len(found.capability.provenance)} runs that are not here"
    )
    notes = [elsewhere, PACKED, f"it is tested on the {len(kind)} runs recorded here that changed the same"]
    return Packed(
        capability=found.capability, runs=[], unexplained=kind, agreement=0.0, bound=0.0, saving=0, notes=notes, packed_by=found.by
    )  # fmt: skip


def _unfit(capability: Capability, agent: AgentSpec) -> str:
    """Why this build of the agent cannot have it; empty: it can."""
    if not agent.learns:
        return f"{agent.name} does not learn: give it learning={{...}}"
    if capability.agent != agent.name:
        return f"it is of the agent {capability.agent!r}, not of {agent.name!r}"
    if capability.fingerprint != agent.fingerprint:
        builds = f"{capability.fingerprint[:8]}, this is {agent.fingerprint[:8]}"
        return f"it was learned of the build {builds}: both must be the same"
    if unknown := [name for name in capability.tools if name not in agent.tool]:
        return f"it calls {', '.join(unknown)}, which {agent.name} does not have"
    return _unfit_program(capability, agent)


def _unfit_program(capability: Capability, agent: AgentSpec) -> str:
    """Why its program must not come into its test."""
    if not capability.changes:
        return "it changes nothing: such a one is learned where it serves"
    if problems := faults(capability.program, capability.tools, capability.slots):
        return str(problems[0])
    used = names_in(capability.program)
    if beyond := sorted((used & agent.tool.keys()) - set(capability.tools)):
        return f"its program calls {', '.join(beyond)}, which it is not said to call"
    if unread := overlooked(capability.trigger.parts, used):
        return f"nothing that it does depends on {', '.join(unread)} of the request, where something could be asked for"
    return ""
