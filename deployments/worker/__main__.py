"""The program `understudy-worker`, also `python -m deployments.worker`."""

from deployments.worker.worker import main

if __name__ == "__main__":
    main()
