"""Surveys of installs from the hosting API and the public site, and the evidence that a copy arrived."""
