"""Registration tools of other groups, as methods of benchmarks.

Importing this package makes them known by name: ``ants-syn`` (package antspyx), ``convexadam``
(package convexAdam), ``greedy`` (package picsl_greedy) and ``symmetric-demons`` (SimpleITK).
elastix is one of our own methods.
"""

from DeepRegistrationLib.studies.benchmark.peers.ants_syn import AntsSyn
from DeepRegistrationLib.studies.benchmark.peers.convex_adam import ConvexAdam
from DeepRegistrationLib.studies.benchmark.peers.greedy import Greedy
from DeepRegistrationLib.studies.benchmark.peers.peer import Peer
from DeepRegistrationLib.studies.benchmark.peers.symmetric_demons import SymmetricDemons

__all__ = ["AntsSyn", "ConvexAdam", "Greedy", "Peer", "SymmetricDemons"]
