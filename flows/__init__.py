"""The flows, each in the file of its name.

For installs: refresh, provision, promote, restore, diagnose. For databases: classify, preview, anonymize, load_dump, reload.
For people: hold, settle, audit. By schedule only: sweep.
"""
