"""One sentence for memory that ran out, whoever notices it and wherever it is shown."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DeepRegistrationLib.errors import correctable, is_out_of_memory, says_out_of_memory
from DeepRegistrationLib.studies.benchmark.run import explained
from DeepRegistrationLib.worker import failures

HUGE = 1 << 45  # bytes: more than any machine's memory, less than its addresses


def refused(allocate):
    """What a library really raises when it asks for far too much."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - its class differs between versions
        allocate()
    return caught.value


@pytest.mark.parametrize(
    "make",
    [
        MemoryError,
        lambda: refused(lambda: np.empty(HUGE, dtype=np.uint8)),
        lambda: refused(lambda: torch.empty(HUGE, dtype=torch.uint8)),
        lambda: refused(lambda: sitk.Image([1 << 15, 1 << 15, 1 << 15], sitk.sitkUInt8)),
        lambda: torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        lambda: OSError(12, "Cannot allocate memory"),
    ],
    ids=["Python", "NumPy", "PyTorch", "ITK", "CUDA", "system"],
)
def test_memory_that_ran_out_is_one_sentence_everywhere(make):
    error = make()
    assert is_out_of_memory(error)
    sentence = correctable(error)  # of commands and cohorts
    assert sentence is not None and "not enough memory" in sentence and "faster" in sentence
    assert explained(error) == sentence
    assert failures.explain(error) == ("memory", sentence)
    stderr = f"Traceback ...\n{type(error).__name__}: {error}"
    assert says_out_of_memory(stderr)
    assert failures.of_exit(1, False, True, stderr) == ("memory", sentence)


@pytest.mark.parametrize("error", [ValueError("odd shape"), OSError(2, "No such file"), KeyError()])
def test_nothing_else_is_taken_for_it(error):
    assert not is_out_of_memory(error)
    assert failures.explain(error)[0] != "memory"
