"""What the panel can have done: requests, and the runs that carry them out."""
