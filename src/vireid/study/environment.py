"""What a result was computed on and with."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from vireid.methods.encoder import choose_device
from vireid.study.registration import code_version

__all__ = ["environment"]

_PACKAGES = ("torch", "timm", "torchvision", "numpy", "pillow")


def environment(device: str | None) -> dict[str, Any]:
    """Device, processor, and versions of everything that can move a figure; no name of a machine or user.

    Raises:
        UsageError: there is no such device.
    """
    chosen = choose_device(device)
    told: dict[str, Any] = {
        "device": torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else "cpu",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **code_version(),
    }
    if chosen.type == "cuda":
        told |= {"cuda": torch.version.cuda, "cudnn": _cudnn()}
        told["tf32"] = bool(torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32)
    return told | {name: _version(name) for name in _PACKAGES}


def _cudnn() -> int | None:
    found: int | None = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text(encoding="utf-8", errors="replace").splitlines() if cpu.is_file() else []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or "unknown"
