"""The Python packages that the engine needs, installed only when the user agrees."""

import importlib
import importlib.util

import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.errors import RegistrationError

PACKAGES = {"torch": "torch>=2.1", "safetensors": "safetensors>=0.4", "scipy": "scipy>=1.10"}
"""Import names and requirements beyond what every Slicer has."""

_SIZES = {
    "torch": _("PyTorch (about 0.2 GB for the CPU, 2.5 GB with CUDA)"),
    "safetensors": _("safetensors (1 MB)"),
    "scipy": _("SciPy (40 MB)"),
}


def missingPackages():
    """Import names of what has to be installed; imports nothing."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def describePackages(names):
    """What will be installed, and how large it is."""
    return ", ".join(_SIZES[name] for name in names)


def ensurePackages():
    """Install what is missing, after asking.

    Raises:
        RegistrationError: The user declined, or the installation failed.
    """
    missing = missingPackages()
    if not missing:
        return
    question = _(
        "The first registration needs to install: {packages}.\n\nThey are downloaded into this "
        "Slicer's own Python. Nothing else is changed, and no image leaves this computer."
    ).format(packages=describePackages(missing))
    title = _("Install the engine's packages?")
    if not slicer.util.confirmOkCancelDisplay(question, windowTitle=title):
        raise RegistrationError(
            _("Nothing was installed and nothing computed; you will be asked again next time.")
        )
    try:
        _install(missing)
    except Exception as error:
        raise RegistrationError(
            _(
                "The installation failed ({error}); check the network connection and try again."
            ).format(error=error)
        ) from error
    importlib.invalidate_caches()
    still = missingPackages()
    if still:
        raise RegistrationError(
            _("After the installation {names} could still not be found; restart Slicer.").format(
                names=", ".join(still)
            )
        )


def _install(names):
    """PyTorch by its own extension where that is there, as it finds the build for the GPU."""
    if "torch" in names and importlib.util.find_spec("PyTorchUtils") is not None:
        import PyTorchUtils

        if PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=False) is None:
            raise RuntimeError(_("the PyTorch extension did not install it"))
        names = [name for name in names if name != "torch"]
    requirements = [PACKAGES[name] for name in names]
    if not requirements:
        return
    try:
        from slicer.packaging import pip_install  # Slicer 5.12 and later
    except ImportError:
        pip_install = slicer.util.pip_install
    pip_install(requirements)
