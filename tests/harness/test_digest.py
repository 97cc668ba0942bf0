"""A file's digest is that of its bytes, and follows them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from harness.digest import file_digest


def test_the_digest_is_the_sha256_of_the_bytes_and_follows_a_change(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    for content in (b"", b"one", os.urandom((1 << 20) + 3)):
        path.write_bytes(content)
        os.utime(path, ns=(len(content), len(content)))
        assert file_digest(path) == hashlib.sha256(content).hexdigest()
