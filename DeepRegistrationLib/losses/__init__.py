"""What a fit or a training minimizes: similarity of images, smoothness of deformations."""
