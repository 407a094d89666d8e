"""What was measured, as long as it is about what is chosen."""

from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.runs.results import ERROR_MAPS

SUBJECT = (
    "fixedVolume",
    "movingVolume",
    "transform",
    "fixedMask",
    "movingMask",
    "fixedSegmentation",
    "movingSegmentation",
    "segmentHearts",
)
"""Names of the parameters that a measurement depends on."""


def measuredWith(parameters, transform):
    """What a transform is measured with besides the two volumes: ``quality_request``'s options."""
    outputs = outputs_of(transform)
    return {
        "fixed_mask": parameters.fixedMask,
        "moving_mask": parameters.movingMask,
        "fixed_segments": parameters.fixedSegmentation,
        "moving_segments": parameters.movingSegmentation,
        "segment_hearts": parameters.segmentHearts,
        "inverse": outputs.get("inverse"),
        "error_maps": {kind: outputs[kind] for kind in ERROR_MAPS if kind in outputs},
    }


class Measurement:
    """The last measures and what they are of; the Quality section fills it, others read it.

    Args:
        panel: Its parameters are looked at.
    """

    def __init__(self, panel):
        self._panel = panel
        self.forget()

    def subject(self):
        """What a measurement depends on."""
        p = self._panel.parameters
        values = [getattr(p, name) for name in SUBJECT]
        time = None if p.transform is None else p.transform.GetTransformToWorldMTime()
        return (*(v.GetID() if hasattr(v, "GetID") else v for v in values), time)

    def keep(self, measures, subject):
        """Take note of measures of a subject."""
        self._measures, self._subject = measures, subject

    def forget(self):
        """Nothing is known."""
        self._measures = self._subject = None

    @property
    def measures(self):
        """What was measured of what is chosen now, or None; some may be ``pending``."""
        current = self._panel.parameters is not None and self._subject == self.subject()
        return self._measures if current else None

    @property
    def complete(self):
        """Whether all there is to be measured of what is chosen now was measured."""
        return self.measures is not None and not self.measures["pending"]

    @property
    def outdated(self):
        """Whether there are measures, but of something else."""
        return self._measures is not None and self.measures is None
