"""The steps.

Files in `flows/` are verbs. Files in `tasks/` are the steps. Folders in `tasks/` are libraries that have never heard of Prefect.
Imports go one way: deployments → flows → tasks/*.py → tasks/*/ → tasks/estate.
"""
