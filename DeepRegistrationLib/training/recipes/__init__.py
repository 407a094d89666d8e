"""The recipes; importing this package lists them all."""
