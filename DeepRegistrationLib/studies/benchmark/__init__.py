"""Benchmarks: a list of cases, several methods, and the tables that the papers print.

``protocol`` says which pairs, ``run`` registers and measures them (a row a pair and method, in a
journal that survives a crash), ``statistics``, ``tables`` and ``html`` turn rows into a report.
"""
