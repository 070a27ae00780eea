"""Arrays: named numbers and a JSON object as one string of bytes, which can be read without running anything that stands in it.

`pickle` would let whoever can write the bytes run code in whoever reads them. These are an `.npz` of numpy, uncompressed and
without objects, behind its SHA-256: that tells what was damaged or cut off. It is no signature.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from tenure.errors import BadInput
from tenure.wire import JsonObject

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays: TypeAlias = Mapping[str, NDArray[Any]]  # Any: of numbers of any kind

MAGIC = b"tenure-arrays-1\n"
HEAD = len(MAGIC) + 32
JSON = "json"  # the name under which the object stands among the arrays


def pack(told: JsonObject, arrays: Arrays) -> bytes:
    """The same bytes for the same values."""
    import numpy as np

    text = json.dumps(told, sort_keys=True, ensure_ascii=True).encode()
    body = io.BytesIO()
    np.savez(body, allow_pickle=False, **{JSON: np.frombuffer(text, dtype=np.uint8)}, **arrays)
    return MAGIC + hashlib.sha256(body.getvalue()).digest() + body.getvalue()


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """The object (Any: its values are not looked at) and the arrays. Raises BadInput for bytes that `pack` did not make."""
    import numpy as np

    body = data[HEAD:]
    if not data.startswith(MAGIC) or hashlib.sha256(body).digest() != data[len(MAGIC) : HEAD]:
        raise BadInput(f"{len(data)} bytes are no stored arrays, or were damaged: make them anew")
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as inside:
            if sum(one.file_size for one in inside.infolist()) > len(body):
                raise BadInput("stored arrays are larger than their bytes: they were made by something else")
        with np.load(io.BytesIO(body), allow_pickle=False) as found:
            arrays: dict[str, NDArray[Any]] = {name: found[name] for name in found.files}  # Any: not looked at yet
        told: Any = json.loads(arrays.pop(JSON).tobytes())
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise BadInput(f"stored arrays cannot be read: {error}") from error
    if any(one.dtype != np.float32 for one in arrays.values()):
        raise BadInput("stored arrays must be of float32")
    return told, arrays
