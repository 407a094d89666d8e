"""SHA-256 of the shipped weights: what their model cards say is compared with this.

A card lies beside its weights, so whoever can change one can change both; the code is the root
that is trusted. After an export into the folder of these weights, ``deepreg weights --json`` shows
the new sum.
"""

SHIPPED = {
    "corrnet": "f627de17bb05a98920a5c47659dd0b43d16cef7bc99ef9c80800c243443eab6d",
    "eppenhof-preview": "39d43ede49fdf22417ef7b116f6fecefb529d392244823a82bf854e7f8d01eac",
    "heartnet": "bfe20027e449ba8b0527213087b26185f9e306475e4c8da35c3152bd95285db2",
    "heartsegnet": "4e68f0644e173e4563afa4b68d8a39e5d186af6416d0669b7a215257f7bb3ca2",
    "mlvirnet-preview": "1d52e7154c18993218a5ce8104325514daadfd727c9bf54d5c00cdd1529dad62",
    "regnet-preview": "c38e9d9c425023df936a866ced2012f7891ab971782ff1903a2fba2aae575cac",
    "svfnet": "bfe326dc70e0b7bf45c55de0ab25c4194aa9dbad83581f51ac6d24dd2f32cffd",
}
