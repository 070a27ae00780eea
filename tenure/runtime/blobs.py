"""Large content by its SHA-256: kept outside history, written before anything refers to it."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path
from urllib.parse import urlparse

from tenure.errors import ConfigError, NotFound, StoreUnavailable
from tenure.wire import BlobRef

NAME = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """A content-addressed folder. Raises ConfigError for a URL that is not `file:///PATH`."""

    def __init__(self, url: str) -> None:
        parsed = urlparse(url)
        if parsed.scheme != "file" or not parsed.path:
            raise ConfigError(f"TENURE_BLOB_URL={url!r}: must be file:///an/absolute/folder")
        self.root = Path(parsed.path)

    def put(self, content: bytes) -> BlobRef:
        """Keep `content`; keeping it twice is keeping it once."""
        name = hashlib.sha256(content).hexdigest()
        path = self._path(name)
        if not path.exists():
            self._write(path, content)
        return BlobRef(blob=name, size=len(content))

    def get(self, name: str) -> bytes:
        """The content whose SHA-256 is `name`. Raises NotFound, and StoreUnavailable when the file was altered."""
        if not NAME.fullmatch(name):  # it comes from a request: it must never become a path of its own
            raise NotFound(f"{name[:80]!r} names no blob: 64 hex digits are wanted")
        try:
            content = self._path(name).read_bytes()
        except OSError as error:
            raise NotFound(
                f"blob {name[:12]}… is not under {self.root}: restore it from the backup of that folder"
            ) from error
        if hashlib.sha256(content).hexdigest() != name:
            raise StoreUnavailable(f"blob {name[:12]}… under {self.root} was altered: restore it from a backup")
        return content

    def _path(self, name: str) -> Path:
        return self.root / name[:2] / name

    def _write(self, path: Path, content: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # A reader must never see half a blob: write beside it, flush to the disk, then rename.
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(file.name).replace(path)
        except OSError as error:
            raise StoreUnavailable(f"cannot write a blob under {self.root}: {error}") from error
