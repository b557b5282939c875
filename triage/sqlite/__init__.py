"""SQLite as Django has it, but for how a transaction waits for another one: `ENGINE = "triage.sqlite"`."""
