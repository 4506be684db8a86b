"""``python cli.py …`` is the program that an install calls ``warmup``."""

from simulator.commands import main

if __name__ == "__main__":
    main()
