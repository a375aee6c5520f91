"""An emulator of the hosting API and of the websites behind it, with named faults. Imports nothing of ours."""
