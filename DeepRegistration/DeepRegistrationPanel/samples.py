"""Sample data in Slicer's Sample Data module: phantoms made on this computer, and public images."""

import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.runs.samples import PHANTOMS, SampleRequest

CATEGORY = "Deep Registration"

_CARDIAC_CT = "d1a1119969acead6c39c7c3ec69223fa2957edc561bc5bf384a203e2284dbc93"  # SHA-256


def registerSampleData(iconPath):
    """List the samples where the Sample Data module is there.

    Args:
        iconPath: Path of a file in Resources/Icons, from its name.
    """
    try:
        from SampleData import SampleDataLogic
    except ImportError:  # a Slicer built without it
        return
    for name, phantom in PHANTOMS.items():
        SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=phantom.title,
            uris=[],
            fileNames=[],
            nodeNames=[],
            customDownloader=Loader(name),
            thumbnailFileName=iconPath(f"{name}.png"),
        )
    SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName="Cardiac CT, 10 phases (13 MB)",
        uris="https://github.com/Slicer/SlicerDataStore/releases/download/SHA256/" + _CARDIAC_CT,
        fileNames="CT-cardio.seq.nrrd",
        nodeNames="CTCardioSeq",
        loadFileTypes="SequenceFile",
        checksums="SHA256:" + _CARDIAC_CT,
        thumbnailFileName=iconPath("heart.png"),
    )


class Loader:
    """Makes a phantom when its button in the Sample Data module is clicked.

    Args:
        name: A key of ``PHANTOMS``.
    """

    def __init__(self, name):
        self._name = name

    def __call__(self, source):
        """Make it and choose it in the panel; returns the two volumes, or nothing after Cancel."""
        # Imported now: after Reload this object is older than the panel and knows other classes.
        from DeepRegistrationPanel.samples import loadForUser

        return loadForUser(self._name)


def loadForUser(name):
    """Make a phantom, or say why not; returns its volumes, nothing after Cancel or an error."""
    panel = slicer.util.getModuleWidget("DeepRegistration").panel
    try:
        sample = loadPhantom(panel, name)
    except RegistrationError as error:
        slicer.util.warningDisplay(str(error))
        return []
    return [] if sample is None else [sample.fixed, sample.moving]


def loadPhantom(panel, name, **options):
    """Make a phantom in the engine's process behind a progress dialog, and choose it.

    Args:
        panel: Its engine is used, and its parameters are set.
        name, options: As ``SampleRequest`` takes them.

    Returns:
        The ``Sample``, or None when the user canceled.

    Raises:
        RegistrationError: The engine could not do it.
    """
    request = SampleRequest(slicer.mrmlScene, name, options)
    sample = panel.runner.finish(request, _("Sample data"), PHANTOMS[name].title)
    if sample is None:
        return None
    if panel.parameters is None:
        panel.follow(panel.logic.getParameterNode())
    p = panel.parameters
    p.fixedVolume, p.movingVolume = sample.fixed, sample.moving
    p.fixedLandmarks, p.movingLandmarks = sample.fixedLandmarks, sample.movingLandmarks
    p.fixedSegmentation = sample.fixedSegmentation
    p.movingSegmentation = sample.movingSegmentation
    slicer.util.setSliceViewerLayers(
        background=sample.fixed, foreground=sample.moving, foregroundOpacity=0.5, fit=True
    )
    return sample
