"""`python -m deployments.sandbox.host`: the emulator alone, on a loopback port."""

from deployments.sandbox.host.serve import main

if __name__ == "__main__":
    main()
