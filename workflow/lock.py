"""Write the hashes of the files that the index has of each version in requirements.lock; ``make lock`` after a change of a version.

torch is not among them: which of its builds pip finds, for CPUs alone or with gigabytes of CUDA beside it, depends on the machine. Its
version is in torch.lock, and pip takes with it what the build needs.
"""

import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

LOCK = Path("requirements.lock")
UV = ("pip", "compile", "--quiet", "--no-deps", "--generate-hashes", "--no-header", "--no-annotate", "--python-version", "3.11", "-")
"""With what uv is called: versions come in, versions with hashes go out."""


def versions(lock: str) -> dict[str, str]:
    """Package -> version, as the lock has them."""
    pins = [Requirement(line.rstrip("\\")) for line in lock.splitlines() if line[:1].isalpha()]
    return {pin.name.lower(): str(pin.specifier).removeprefix("==") for pin in pins}


def locked(pins: dict[str, str], uv: str) -> str:
    """The lock of these versions."""
    asked = "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))
    return subprocess.run([uv, *UV], input=asked, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    LOCK.write_text(locked(versions(LOCK.read_text(encoding="utf-8")), sys.argv[1]), encoding="utf-8")
