"""Which sections the panel has, from top to bottom.

A section is a module of this package that holds one class derived from ``section.Section``, a .ui
file in Resources/UI, and its line here.
"""

from importlib import import_module

from DeepRegistrationPanel.section import Section

SECTIONS = [
    "inputs",
    "advanced",
    "run",
    "results",
    "landmarks",
    "inspection",
    "quality",
    "report",
    "function",
    "strain",
    "propagation",
    "sequences",
]
"""Names of their modules."""


def sectionClasses():
    """The class of each section."""
    return [_classIn(import_module(f"DeepRegistrationPanel.{name}")) for name in SECTIONS]


def _classIn(module):
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Section) and value is not Section
    ]
    if len(found) != 1:
        raise ImportError(f"{module.__name__} must hold one section; it holds {len(found)}.")
    return found[0]
