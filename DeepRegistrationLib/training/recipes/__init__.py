"""The recipes; importing this package lists them all."""

from DeepRegistrationLib.training.recipes import svfnet as svfnet
from DeepRegistrationLib.training.recipes import virnet as virnet
