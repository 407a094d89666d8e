"""The method that takes another one, by what the pair shows."""
