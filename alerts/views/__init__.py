"""Every page, one module each: load, call, render."""
