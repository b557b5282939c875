"""What the system does. Services write rows and never queue: views and tasks queue."""
