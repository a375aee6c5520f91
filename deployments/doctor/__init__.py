"""The doctor: finds out whether a worker with these settings can do its work. `understudy doctor` shows what it finds."""
