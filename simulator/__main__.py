"""``python -m simulator …`` is the program ``warmup``."""

from simulator.commands import main

if __name__ == "__main__":
    main()
