"""`python -m gatelight`: the command line."""

from gatelight.cli.main import run

if __name__ == "__main__":
    run()
