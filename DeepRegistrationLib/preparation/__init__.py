"""Images as each network wants them; training and inference use the same functions."""
