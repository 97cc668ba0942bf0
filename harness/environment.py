"""What ran where: an allow-list of facts for the record, and the mask that keeps secrets out of every written line."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from functools import cache
from pathlib import Path

from pydantic import JsonValue

LIBRARIES = ("torch", "transformers", "tokenizers", "datasets", "evaluate", "peft", "numpy", "scipy", "pyarrow")
ROOT = Path(__file__).resolve().parent.parent

_TOKENS = re.compile(
    r"\b(hf_|ghp_|gho_|ghs_|github_pat_|sk-|xox[abps]-|AKIA|ASIA|glpat-|pypi-|npm_)[A-Za-z0-9_\-]{8,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}"
)
_NAMED = re.compile(
    r"""(?i)\b([A-Z0-9_-]*(?:token|secret|password|passwd|api[_-]?key|access[_-]?key|authorization)[A-Z0-9_-]*["']?\s*[=:]\s*["']?)"""
    r"""(?:(bearer|basic)\s+)?[^\s"',;]{4,}"""
)
_CREDENTIALS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s:@]+(?::[^/\s@]*)?@")
_HOME = re.compile(r"/(?:home|Users)/[^/\s'\":]+|/root(?=[/\s'\":,;)]|$)")
_ABSOLUTE = re.compile(r"(?<![\w~/.:%])/(?:[\w.+@-]+/)+(?=[\w.+@-])")


def redact(text: str) -> str:
    """Return ``text`` fit to be kept: tokens masked, URLs without credentials, home and absolute folders as ``~``."""
    text = _TOKENS.sub("<masked>", text)
    text = _NAMED.sub(lambda match: f"{match[1]}<masked>", text)
    text = _CREDENTIALS.sub(r"\1", text)
    for value in _secret_values():
        text = text.replace(value, "<masked>")
    text = text.replace(str(ROOT), "~paretune").replace(str(Path.home()), "~")
    text = _HOME.sub("~", text)
    return _ABSOLUTE.sub("~/", text)


def describe(device: str, threads: int) -> dict[str, JsonValue]:
    """Return what is known of this machine and installation, from an allow-list."""
    facts: dict[str, JsonValue] = {
        "paretune": importlib.metadata.version("paretune") if _installed("paretune") else None,
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "device": device,
        "threads": threads,
        **{name: importlib.metadata.version(name) if _installed(name) else None for name in LIBRARIES},
        **_checkout(),
    }
    if device.startswith("cuda"):
        import torch

        properties = torch.cuda.get_device_properties(device)
        facts |= {"gpu": properties.name, "gpu_bytes": properties.total_memory, "cuda": torch.version.cuda}
    return facts


def limit_threads(threads: int) -> None:
    """Set the thread count of the numerical libraries; they read it when they load, so call this before torch does."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def _secret_values() -> list[str]:
    """Return values of this process's variables whose names say that they are secret."""
    secret = re.compile(r"(?i)token|secret|passw|credential|api_?key|access_?key")
    return [value for name, value in os.environ.items() if secret.search(name) and len(value) >= 6]


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@cache
def _processor() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or None
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else None


@cache
def _checkout() -> dict[str, JsonValue]:
    """Return commit and dirty flag of the checkout this code runs from; null outside one."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    top = git("rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != ROOT:
        return {"commit": None, "dirty": None}
    return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
