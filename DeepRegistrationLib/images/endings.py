"""Endings of ITK's files of transforms; here nothing is loaded that reads them."""

HDF5_FILES = (".h5", ".hdf5")
TRANSFORM_FILES = (*HDF5_FILES, ".tfm", ".txt", ".mat")
FIELD_FILES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
READABLE_FIELDS = (*FIELD_FILES, ".nhdr")
