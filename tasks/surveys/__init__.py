"""Surveys: what the hosting API and the website show about an install together, and the evidence that a copy arrived.

Reading a website alone is `tasks/websites/`; the client of the hosting API is `tasks/capi/`.
"""
