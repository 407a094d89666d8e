"""What a deformation says of function: ventilation of the lungs, strain of the heart."""
