"""What the methods that apply a trained network share."""
