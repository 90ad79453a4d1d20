"""`python -m gatelight`: the command line."""

from gatelight.app.main import run

if __name__ == "__main__":
    run()
