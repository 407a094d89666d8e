"""What the trained networks compute: images in, fields out."""
