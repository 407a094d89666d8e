"""A progress dialog over something that is done in steps, while Slicer stays responsive."""

import slicer
from slicer.i18n import tr as _


def withProgress(steps, text):
    """Do all steps of a generator that yields the fraction done.

    Args:
        steps: The generator.
        text: What is worked on.

    Returns:
        What the generator returned, or None when the user canceled.
    """
    dialog = None
    try:
        while True:
            fraction = next(steps)
            if dialog is None:
                dialog = slicer.util.createProgressDialog(
                    labelText=text, windowTitle=_("Working"), autoClose=False
                )
            dialog.value = int(100 * fraction)
            slicer.app.processEvents()
            if dialog.wasCanceled:
                steps.close()
                return None
    except StopIteration as end:
        return end.value
    finally:
        if dialog is not None:
            dialog.close()
