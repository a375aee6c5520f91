"""The steps that flows call.

Files in this folder are the steps; only the steps and `tasks/runtime/` import Prefect. All other folders are libraries. Imports
go one way: deployments → flows → tasks/*.py → tasks/*/ → tasks/estate.
"""
