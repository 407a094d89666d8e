"""DICOM images: one reader for series, multi-frame objects, dose and segmentations."""
