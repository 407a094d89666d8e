"""The recipes; importing this package lists them all."""

from DeepRegistrationLib.training.recipes import corrnet as corrnet
from DeepRegistrationLib.training.recipes import eppenhof as eppenhof
from DeepRegistrationLib.training.recipes import heartnet as heartnet
from DeepRegistrationLib.training.recipes import regnet as regnet
from DeepRegistrationLib.training.recipes import svfnet as svfnet
from DeepRegistrationLib.training.recipes import virnet as virnet
