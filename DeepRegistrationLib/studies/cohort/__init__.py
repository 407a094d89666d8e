"""Cohorts: many pairs registered on the workers of a Dask cluster, one row a pair.

``pairs`` says which pairs, ``work`` registers one of them on a worker, ``store`` keeps what is
finished and makes the table, ``cluster`` starts or finds the workers, ``run`` brings all together.
"""
