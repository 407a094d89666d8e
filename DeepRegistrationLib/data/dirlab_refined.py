"""Landmarks of DIR-Lab 4DCT that Fu et al. refined at inhale by matching image patches.

Fu, Wu, Thomas, Li & Yang, Automatic large quantity landmark pairs detection in 4DCT lung images,
Medical Physics 46, 2019 (doi 10.1002/mp.13726): at exhale the 300 published landmarks, at inhale
positions to a tenth of a voxel for about two thirds of them, the published ones for the rest.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.guard.paths import require_readable

_NAMES = ("landmark_new_EI", "landmark_dirlab_EI", "landmark_EE")


class RefinedIndices(NamedTuple):
    """Voxel indices x, y, z that count from 1: [n, 3] float64 each, row by row one landmark.

    Attributes:
        refined: At inhale, refined: fractions.
        inhale, exhale: As DIR-Lab published them.
    """

    refined: np.ndarray
    inhale: np.ndarray
    exhale: np.ndarray


def refined_indices(path: Path) -> RefinedIndices:
    """Read ``caseN.mat`` of the folder "New Landmark Pairs".

    The file has y before x; its name is that of the case in "Dense Sets of Landmark Pairs", too,
    which holds other landmarks and is refused.

    Raises:
        RegistrationError: The file is damaged or holds something else.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        values = loadmat(require_readable(path), variable_names=_NAMES)
    except (MatReadError, ValueError, TypeError, LookupError, OSError, zlib.error) as error:
        raise RegistrationError(f"{path.name} cannot be read; download it again.") from error
    except NotImplementedError as error:  # MATLAB 7.3
        raise RegistrationError(f"{path.name} is not the published file.") from error
    if not all(name in values for name in _NAMES):
        raise RegistrationError(
            f'{path} does not hold the refined landmarks; give those of the folder "New Landmark '
            'Pairs".'
        )
    lists = [np.asarray(values[name]) for name in _NAMES]
    shape = lists[0].shape
    if len(shape) != 2 or shape[1] != 3 or any(found.shape != shape for found in lists):
        raise RegistrationError(f"{path.name} does not hold lists of x, y, z; download it again.")
    return RefinedIndices(*(found[:, [1, 0, 2]].astype(np.float64) for found in lists))
