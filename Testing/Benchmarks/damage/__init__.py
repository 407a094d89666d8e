"""Damage and attack, bounded and repeatable: bad inputs, mutated files, injected faults.

``python -m Testing.Benchmarks.damage`` prints how many were answered wrongly; 0 is the aim. Each
trial runs in a process that may crash or stall without ending the others. What is right: a result,
or one sentence (``RegistrationError``; exit code 2 with one line and nothing written).
"""
