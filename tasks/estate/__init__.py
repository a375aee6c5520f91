"""The types of the domain: sites, plans, evidence, findings, dumps, errors. Imports no other part of the project."""
