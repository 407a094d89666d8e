"""Our Adam against PyTorch's."""

import torch

from DeepRegistrationLib.methods.optimize.adam import Adam


def test_it_steps_as_pytorchs_does():
    gradients = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(1))
    ours, theirs = torch.zeros(3, 4), torch.zeros(3, 4, requires_grad=True)
    adam = Adam(ours, (0.6, 0.99), 0.1)
    reference = torch.optim.Adam([theirs], lr=0.3, betas=(0.6, 0.99), eps=0.1)
    for rate, gradient in zip((0.3, 0.3, 0.3, 0.15, 0.15, 0.06), gradients, strict=True):
        adam.step(gradient, rate)
        reference.param_groups[0]["lr"] = rate
        theirs.grad = gradient.clone()
        reference.step()
    torch.testing.assert_close(ours, theirs.detach(), rtol=0, atol=1e-6)
