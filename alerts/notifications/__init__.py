"""Ways of telling people: email, Slack."""
