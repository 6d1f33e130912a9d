"""MD that stops on its way, as if it were killed, for tests that it goes on."""

from pathlib import Path
from typing import Any

import pytest

from mlcgmd.md.engine import Spec
from mlcgmd.md.run import run_md


def run_until(spec: Spec, path: Path, segment: int) -> None:
    """Run the MD of ``spec`` up to the beginning of a segment."""
    engine = type(spec.engine)
    whole = engine.segment

    def stopped(self: Any, k: int, *state: Any) -> Any:
        if k == segment:
            raise KeyboardInterrupt
        return whole(self, k, *state)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(engine, "segment", stopped)
        run_md(spec, path)
