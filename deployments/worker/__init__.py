"""The worker: takes runs from our pool and runs each of our flows in a process of its own."""
