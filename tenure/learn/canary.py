"""The canary: which requests are given to a capability that serves a part of them."""

from __future__ import annotations

import hashlib


def in_canary(key: str, capability: str, percent: int) -> bool:
    """Whether what `key` names (a user, a conversation) is served by a canary of `percent` in a hundred.

    The same key gets the same answer as long as the percentage does not fall: who is in at 10 is in at 20. Another capability has
    another canary, so that it is not always the same people who are served first.
    """
    told = hashlib.sha256(f"{len(capability)}:{capability}:{key}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(told[:8], "big") * 100 < percent << 64
