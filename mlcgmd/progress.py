"""Progress bars with rate and time left, in a terminal and in JupyterLab; ``TQDM_DISABLE=1`` shows none."""

import os
import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "IProgress not found")  # without ipywidgets the bars of a notebook are text
    from tqdm.auto import tqdm


def bar(total: int, label: str, unit: str, show: bool = True, done: int = 0) -> Any:
    """A bar of tqdm; ``update`` it, ``close`` it or use it as a context.

    Args:
        total: how many units there are.
        label: what is going on.
        unit: what is counted.
        show: False for none.
        done: units that were done before, which do not count in the rate.

    Returns:
        The bar.
    """
    hidden = not show or os.environ.get("TQDM_DISABLE", "0") not in ("", "0")  # which tqdm's bar of a notebook does not look at
    return tqdm(total=total, initial=done, desc=label, unit=unit, disable=hidden)
