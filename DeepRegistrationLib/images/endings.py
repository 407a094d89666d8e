"""Endings of ITK's files of transforms; here nothing is loaded that reads them."""

TRANSFORM_FILES = (".h5", ".hdf5", ".tfm", ".txt", ".mat")
FIELD_FILES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
READABLE_FIELDS = (*FIELD_FILES, ".nhdr")
