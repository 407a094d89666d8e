"""Data for training and evaluation: lists of cases, readers of public layouts, phantoms."""
