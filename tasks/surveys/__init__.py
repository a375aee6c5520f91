"""Surveys: what the hosting API and the public site tell of one install, and the evidence that a copy arrived."""
