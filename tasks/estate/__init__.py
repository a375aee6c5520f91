"""The nouns of the project: installs, plans, dumps, databases, findings, outcomes, errors. Imports no other part of the project.

A type belongs here if steps and libraries of several folders exchange it. What reads files, the environment or the network does not.
"""
