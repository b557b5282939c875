"""The command line and the processes of embedded mode."""
