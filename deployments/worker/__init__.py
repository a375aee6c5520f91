"""The worker: takes runs from our pool and runs one of our flows in a process of its own."""
