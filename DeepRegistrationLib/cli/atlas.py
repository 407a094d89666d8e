"""``deepreg atlas``."""

from __future__ import annotations

import argparse

import torch

from DeepRegistrationLib.cli.inputs import choice, load_image, load_mask, load_optional, print_notes
from DeepRegistrationLib.data.cases import read_cases
from DeepRegistrationLib.devices import choose_device
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.atomic_output import atomic_folder
from DeepRegistrationLib.images.guard.itk_warnings import native_silence
from DeepRegistrationLib.images.image import write_image
from DeepRegistrationLib.methods import method_class
from DeepRegistrationLib.progress import shown_progress
from DeepRegistrationLib.registration.validation import check_image
from DeepRegistrationLib.studies.atlas import segment_by_atlases, write_surface
from DeepRegistrationLib.training.shapes.contours import read_labels


def segment_image(arguments: argparse.Namespace) -> None:
    """``deepreg atlas``: the segmentation of an image from those of others."""
    method_class(arguments.method)
    choose_device(arguments.device)
    image = load_image(arguments.image, *choice(arguments))
    check_image(image)
    mask = load_optional(load_mask, arguments.mask, image)
    cases = [case for case in read_cases(arguments.atlases) if case.split == "train"]
    atlases = []
    for case in cases:
        if case.labels is None:
            raise RegistrationError(
                f"The atlas {case.image.name} has no labels; fill in that column of the list."
            )
        picture = load_image(str(case.image))
        with native_silence():
            atlases.append((picture, read_labels(case.labels, picture)))
    with shown_progress(arguments.quiet) as progress, torch.no_grad():
        result = segment_by_atlases(
            image,
            atlases,
            method=arguments.method,
            mask=mask,
            device=arguments.device,
            progress=progress,
        )
    print_notes(arguments, [*(() if mask is None else mask.notes), *result.notes])
    with atomic_folder(arguments.output) as folder:
        write_image(result.labels, folder / "labels.nii.gz")
        for name, wall in result.walls.items():
            write_surface(wall, folder / f"{name}.vtk")
    if not arguments.quiet:
        for name, wall in result.walls.items():
            print(f"{name}: {result.atlases} walls, spread {wall.spread.mean():.1f} mm on average")
        print(f"Wrote labels.nii.gz and {len(result.walls)} surfaces to {arguments.output}")
