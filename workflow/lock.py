"""Write the hashes of the files that the index has of each version in requirements.lock; ``make lock`` after a change of a version.

torch is pinned to the build for CPUs on Linux, whose wheel is looked for where pip looks (``PIP_FIND_LINKS``): the index's own build
brings gigabytes of CUDA, which the lock does not hold. Elsewhere the index's build is for CPUs.
"""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

LOCK = Path("requirements.lock")
UV = ("pip", "compile", "--quiet", "--no-deps", "--generate-hashes", "--no-header", "--no-annotate", "--python-version", "3.11", "-")
"""With what uv is called: versions come in, versions with hashes go out."""
CPU = re.compile(r"torch-(?P<version>[\d.]+)\+cpu-cp311-.*\.whl")
LINUX = 'sys_platform == "linux"'


def versions(lock: str) -> dict[str, str]:
    """Package -> version, as the lock has them; the build of torch is left out."""
    pins = [Requirement(line.rstrip("\\")) for line in lock.splitlines() if line[:1].isalpha()]
    return {pin.name.lower(): str(pin.specifier).removeprefix("==").removesuffix("+cpu") for pin in pins}


def locked(pins: dict[str, str], uv: str, wheels: list[Path]) -> str:
    """The lock of these versions.

    Raises:
        SystemExit: there is no wheel of torch for CPUs, of its version, among ``wheels``.
    """
    asked = "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))
    found = subprocess.run([uv, *UV], input=asked, stdout=subprocess.PIPE, text=True, check=True).stdout
    cpu = [wheel for wheel in wheels if (name := CPU.fullmatch(wheel.name)) and name["version"] == pins["torch"]]
    if not cpu:
        raise SystemExit(f"lock: there is no wheel of torch {pins['torch']}+cpu in PIP_FIND_LINKS; put it there")
    hashes = sorted(hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in cpu)
    for_linux = f"torch=={pins['torch']}+cpu ; {LINUX} \\\n" + " \\\n".join(f"    --hash=sha256:{digest}" for digest in hashes)
    head = f"torch=={pins['torch']} "
    return found.replace(f"{head}\\", f"{for_linux}\n{head}; {LINUX.replace('==', '!=')} \\")


if __name__ == "__main__":
    wheels = [wheel for folder in os.environ.get("PIP_FIND_LINKS", "").split() for wheel in Path(folder).glob("*.whl")]
    LOCK.write_text(locked(versions(LOCK.read_text()), sys.argv[1], wheels))
