"""The correlation network, our own, for lung CT."""
