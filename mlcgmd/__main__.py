"""``python -m mlcgmd``."""

from .cli import main

if __name__ == "__main__":  # processes that it starts read this file too
    main()
