"""An imagined school's database: what a masked dump has to cope with, and canaries that must never come out of it."""
