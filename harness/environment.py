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

MASK = "<masked>"

# What a service's keys look like. Long and free of underscores where the service's are, so that hf_hub_download stays.
_KEYS = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"hf_[A-Za-z0-9]{16,}|gh[opsur]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|npm_[A-Za-z0-9]{16,}|glpat-[\w-]{16,}"
    r"|(?:sk|pypi|pk|rk)-(?=[\w-]{0,80}\d)[\w-]{16,}|xox[a-z]-[\w-]{8,}|(?:AKIA|ASIA)[A-Z0-9]{12,}|AIza[\w-]{30,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{4,})"
    r"|(?<=-----BEGIN )[A-Z ]*PRIVATE KEY-----.*?(?:-----END|\Z)",
    re.DOTALL,
)
# Each of these starts where a word does and nowhere inside it: tried at every letter, a long line would take minutes.
_NAME = (
    r"[\w-]{0,80}(?i:token|secret|passw(?:or)?d|passphrase|credentials?|authorization"
    r"|(?:api|access|private|secret|auth|account)[_-]?key)(?:[_-][A-Z0-9]+){0,9}"
)
# A value in quotes ends at the quote, a bare one at a space or comma. What begins with < or [ is a special token of a
# tokenizer, or masked already.
_VALUE = (
    r"""(?P<quote>\\?["'])(?![<\[])(?:(?!(?P=quote)).)+"""
    r"""|(?![<\["'\\])(?:(?i:bearer|basic|token|digest)\s+(?!<))?[^\s"',;&(){}\[\]]{4,}"""
)
_NAMED = re.compile(rf"""(?<![\w-])(?P<name>{_NAME}\\?["']?\s*(?:=>|[=:])\s*|--{_NAME}["']?,?\s+)(?:{_VALUE})""")
_BEARER = re.compile(r"(?i)(\bbearer\s+)(?=\S*\d)[\w.~+/=-]{8,}")
_CREDENTIALS = re.compile(r"(?<![a-zA-Z0-9+.-])([a-zA-Z0-9+.-]+://)[^/\s?#\"'<>]*@")
_HOME = re.compile(r"/(?:home|Users)/[^/\s'\":]+|/root(?![\w.-])")
_ABSOLUTE = re.compile(r"(?:(?<![\w~/.%])|(?<=file://))/(?:[\w.+@-]+/)+(?=[\w.+@-])")
_DRIVE = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]:(?:\\{1,2}[^\\/\s'\":]+)+(?=\\)")


def redact(text: str) -> str:
    """Return ``text`` fit to be kept: keys masked, URLs without credentials, home and absolute folders as ``~``."""
    for value in _secret_values():
        text = text.replace(value, MASK)
    text = _KEYS.sub(MASK, text)
    text = _CREDENTIALS.sub(r"\1", text)
    text = _NAMED.sub(lambda match: f"{match['name']}{match['quote'] or ''}{MASK}", text)
    text = _BEARER.sub(rf"\1{MASK}", text)
    for folder, short in ((str(ROOT), "~paretune"), (os.path.expanduser("~"), "~")):
        if len(folder) > 1:  # the home of a container's user may be the root folder
            text = re.sub(rf"{re.escape(folder)}(?![\w.-])", short, text)
    return _DRIVE.sub("~", _ABSOLUTE.sub("~/", _HOME.sub("~", text)))


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
    """Return values of this process's variables whose names say that they are secret, longest first."""
    secret = re.compile(r"(?i)token(?!iz)|secret|passw|credential|api_?key|access_?key")
    values = [value for name, value in os.environ.items() if secret.search(name)]
    lines = {line.strip() for value in values for line in value.splitlines()}  # a log is masked line by line
    return sorted((line for line in lines if len(line) >= 6), key=len, reverse=True)


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
