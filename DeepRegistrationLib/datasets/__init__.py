"""Data for training and evaluation: lists of cases, and readers of public layouts."""
