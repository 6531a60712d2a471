"""`python -m energyam`: the command line."""

from energyam.cli import main

if __name__ == "__main__":
    main()
