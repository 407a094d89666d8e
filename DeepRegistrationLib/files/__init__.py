"""Registrations, structures and dose exchanged with other programs: DICOM and foreign files."""
