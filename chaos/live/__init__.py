"""What is shown of a drill while it runs."""
