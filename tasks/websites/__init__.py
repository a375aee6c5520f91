"""Public websites of installs, read as any visitor sees them (no credentials, capped in size and time), and the checks of a site.

`tasks/surveys/` combines this with what the hosting API reports about an install.
"""
