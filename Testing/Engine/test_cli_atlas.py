"""``deepreg atlas`` with atlases whose transform is known."""

import numpy as np
import trivial
from hearts import heart_labels, heart_picture, stack_grid

from DeepRegistrationLib.cli import main
from DeepRegistrationLib.images.image import read_image, write_image


def test_atlases_at_a_known_place_segment_the_heart(tmp_path, shift, capsys):
    truth = heart_labels(stack_grid())
    write_image(heart_picture(truth), tmp_path / "image.nii.gz")
    shift.says = "Look at the hearts."
    rows = ["image,labels,patient,split"]
    for number in range(2):
        labels = heart_labels(stack_grid(shift=trivial.SHIFT), shift=trivial.SHIFT)
        write_image(labels, tmp_path / f"labels{number}.nii.gz")
        write_image(heart_picture(labels, number), tmp_path / f"atlas{number}.nii.gz")
        rows.append(f"atlas{number}.nii.gz,labels{number}.nii.gz,p{number},train")
    (tmp_path / "atlases.csv").write_text("\n".join(rows))
    output = tmp_path / "out"
    command = ["atlas", str(tmp_path / "image.nii.gz"), "--atlases", str(tmp_path / "atlases.csv")]
    assert main([*command, "--output", str(output), "--method", "shift", "--device", "cpu"]) == 0
    found = read_image(output / "labels.nii.gz")
    assert float((found.data == truth.data).double().mean()) > 0.995
    assert {path.name for path in output.iterdir()} == {
        "labels.nii.gz", "LV.vtk", "RV.vtk", "epicardium.vtk"
    }  # fmt: skip
    printed = capsys.readouterr().out
    assert "LV: 2 walls, spread 0.0 mm" in printed
    assert printed.count("Atlases 1 and 2: Look at the hearts.\n") == 1
    np.testing.assert_allclose(found.grid.corners(), truth.grid.corners(), atol=1e-3)


def test_an_atlas_without_labels_is_refused(tmp_path, refuse):
    image = trivial.volume(tmp_path / "image.nii.gz")
    (tmp_path / "atlases.csv").write_text("image,patient,split\nimage.nii.gz,p1,train\n")
    sentence = refuse(
        "atlas", image, "--atlases", tmp_path / "atlases.csv", "--output", tmp_path / "out",
        "--method", "shift",
    )  # fmt: skip
    assert "image.nii.gz has no labels" in sentence
