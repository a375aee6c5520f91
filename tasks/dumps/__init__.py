"""Dumps: what a database consists of, reading it out masked, the bundle as a file, and loading and verifying it."""
