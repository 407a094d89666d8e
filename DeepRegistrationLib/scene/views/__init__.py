"""What slice views show for the visual control of a registration."""
