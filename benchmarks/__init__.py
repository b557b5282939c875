"""What we measure, each against the simplest way that is right."""
